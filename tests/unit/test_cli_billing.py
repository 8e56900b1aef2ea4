"""What `avivro billing` says of what it cannot take."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest

from workers.cli.billing import set_price, set_terms

USER = UUID("00000000-0000-4000-8000-00000000000a")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (partial(set_price, "gold", "1"), "no tier gold"),
        (partial(set_price, "free", "0"), "above 0"),
        (partial(set_price, "free", "-1"), "not between 0 and"),
        (partial(set_price, "free", "1e999"), "not between 0 and 1,000,000,000"),
        (partial(set_price, "free", "dear"), "no number"),
        (partial(set_price, "free", "NaN"), "no number"),
        (partial(set_price, "free", "0.00000000001"), "more than 10 digits"),
        (partial(set_price, "free", "1", currency="euro"), "no currency"),
        (partial(set_price, "free", "1", currency="\u20ac\u20ac\u20ac"), "no currency"),
        (partial(set_terms, USER, tax_rate="19"), "not between 0 and 1"),
        (partial(set_terms, USER, tax_rate="0.1234567"), "more than 6 digits"),
    ],
)
def test_a_wrong_value_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], command: Callable[[], None], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        command()

    assert ended.value.code == 2
    assert says in capsys.readouterr().err
