"""In which words a budget ends, and how often an owner hears of it."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from db.spending import Allowance
from pipelines.spending import describe, dollars, notice_id
from workers.cli.tenants import parse_cap

TENANT = UUID(int=7)
NOVEMBER = datetime(2026, 11, 23, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


def test_a_pause_says_how_much_and_until_when() -> None:
    said = describe(Allowance(False, Decimal(5), DECEMBER, NOVEMBER))

    assert said == (
        "Paused: this month's embedding budget of $5.00 is used up. It goes on by itself on "
        "1 December 2026 (UTC), or as soon as the budget is raised."
    )


@pytest.mark.parametrize(
    ("usd", "shown"),
    [("5", "$5.00"), ("1234.5", "$1,234.50"), ("0.00025", "$0.00025"), ("0", "$0.00")],
)
def test_money_is_shown_exactly(usd: str, shown: str) -> None:
    assert dollars(Decimal(usd)) == shown


def test_a_tenant_has_one_notice_a_month() -> None:
    later = NOVEMBER.replace(day=30, hour=23)

    assert notice_id(TENANT, NOVEMBER) == notice_id(TENANT, later)
    assert notice_id(TENANT, NOVEMBER) != notice_id(TENANT, DECEMBER)
    assert notice_id(TENANT, NOVEMBER) != notice_id(UUID(int=8), NOVEMBER)


@pytest.mark.parametrize(("text", "cap"), [("5", "5"), ("0.50", "0.5"), ("0", "0")])
def test_a_cap_is_an_amount(text: str, cap: str) -> None:
    assert parse_cap(text) == Decimal(cap)


def test_a_cap_may_be_lifted() -> None:
    assert parse_cap("None") is None


@pytest.mark.parametrize("text", ["", "five", "-1", "NaN", "Infinity", "1e99", "5 USD"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(SystemExit):
        parse_cap(text)
