"""How counts read in sentences."""

import re
from pathlib import Path

import pytest

import workers
from pipelines.counting import noun, plural

ROOT = Path(workers.__file__).parents[1]


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs"), (1_200, "1,200 jobs"), (1.0, "1 job")],
)
def test_only_one_is_one(number: float, told: str) -> None:
    assert plural(number, "job") == told


def test_a_word_of_its_own_for_many() -> None:
    assert (noun(1, "is", "are"), noun(2, "is", "are")) == ("is", "are")


def test_nobody_forms_plurals_by_a_rule_of_their_own() -> None:
    own = re.compile(r"== 1 else [\"'][a-z ]*s\b|if [a-z_.|]+ == 1 else [\"']are")
    files = [*ROOT.glob("workers/**/*.py"), *ROOT.glob("workers/dashboard/templates/*.html")]
    files += [*ROOT.glob("pipelines/*.py"), *ROOT.glob("pipelines/email/**/*.j2")]

    found = [path.name for path in files if own.search(path.read_text())]

    assert found == []
