"""What a period costs: which messages count, what was included, at which price."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest

from db import billing, demo
from db.embedded import Services
from db.pool import Connection, connect
from pipelines.errors import Permanent
from tests.billing import Customer, close, forget, sign_up
from tests.conftest import fresh_database

JANUARY, FEBRUARY, MARCH = date(2025, 1, 1), date(2025, 2, 1), date(2025, 3, 1)
IN_JANUARY = datetime(2025, 1, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared_url(services: Services, template: str) -> Iterator[str]:
    with fresh_database(services, template=template) as url:
        yield url


@pytest.fixture
def database_url(shared_url: str) -> str:
    """One database for the module; each test's customers are forgotten."""
    return shared_url


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, autocommit=True) as connection:
        yield connection
        forget(connection)


@pytest.fixture
def customer(conn: Connection) -> Customer:
    """1,240 messages of 1,000 in January, free, by the counter; it is over in February."""
    return sign_up(
        conn,
        "ann",
        period_start=JANUARY,
        monthly_messages_used=1_240,
        monthly_message_limit=1_000,
    )


@pytest.mark.parametrize(("counted", "logged", "used"), [(7, 9, 9), (9, 7, 9), (0, 0, 0)])
def test_the_greater_of_counter_and_logs_is_used(
    customer: Customer, database_url: str, counted: int, logged: int, used: int
) -> None:
    customer.put(monthly_messages_used=counted)
    begins, ends = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)
    moment = timedelta(microseconds=1)
    if logged:
        customer.log(begins, logged - 1)
        customer.log(ends - moment, 1)
    customer.log(begins - moment, 50)
    customer.log(ends, 50)
    customer.log(IN_JANUARY, 50, usage_type="embedding")

    close(customer.conn, database_url, today=FEBRUARY)

    assert [each["messages_used"] for each in customer.closings()] == [used]


def naive_allowance(changes: list[tuple[datetime, int]], last: int) -> int:
    """January's, second by second as fractions of it; limits held until their moments."""
    total, since = Fraction(0), datetime(2025, 1, 1, tzinfo=UTC)
    for at, limit in [*changes, (datetime(2025, 2, 1, tzinfo=UTC), last)]:
        total += Fraction(limit) * Fraction(int((at - since).total_seconds()), 31 * 86_400)
        since = at
    return ceil(total)


def naive_cents(value: Fraction) -> Fraction:
    return Fraction(floor(value * 100 + Fraction(1, 2)), 100)


def test_an_upgrade_mid_period_is_right_to_the_last_digit(
    customer: Customer, database_url: str
) -> None:
    moments = [datetime(2025, 1, 9, 7, 13, 11, tzinfo=UTC), datetime(2025, 1, 22, 3, tzinfo=UTC)]
    customer.put(monthly_messages_used=9_999)
    customer.change_plan(moments[0], subscription_tier="professional", monthly_message_limit=10_000)
    customer.change_plan(moments[1], subscription_tier="starter", monthly_message_limit=4_000)
    customer.change_plan(datetime(2025, 2, 1, tzinfo=UTC), subscription_tier="enterprise")
    billing.set_price(
        customer.conn,
        tier="starter",
        currency="USD",
        price=Decimal("0.0173456789"),
        valid_from=datetime(2025, 1, 31, 23, tzinfo=UTC),
    )
    billing.set_price(
        customer.conn,
        tier="starter",
        currency="USD",
        price=Decimal(9),
        valid_from=datetime(2025, 2, 1, tzinfo=UTC),
    )
    billing.set_terms(customer.conn, customer.id, tax_rate=Decimal("0.077"), currency=None)

    close(customer.conn, database_url, today=FEBRUARY)

    included = naive_allowance([(moments[0], 1_000), (moments[1], 10_000)], 4_000)
    amount = naive_cents((9_999 - included) * Fraction("0.0173456789"))
    tax = naive_cents(amount * Fraction("0.077"))
    (closing,) = customer.closings()
    ((_, *stored, _, _),) = customer.transactions()
    assert (closing["allowance"], closing["tier"]) == (included, "starter")
    assert [Fraction(each) for each in stored] == [amount, tax, amount + tax]
    assert [Fraction(closing[name]) for name in ("amount", "tax", "total")] == [
        Fraction(each) for each in stored
    ]
    assert [(each["tier"], each["message_limit"]) for each in closing["segments"]] == [
        ("free", 1_000),
        ("professional", 10_000),
        ("starter", 4_000),
    ]


def test_a_plan_that_changed_after_the_period_does_not_count_in_it(
    customer: Customer, database_url: str
) -> None:
    customer.put(subscription_tier="enterprise", monthly_message_limit=100_000)

    close(customer.conn, database_url, today=FEBRUARY)

    (closing,) = customer.closings()
    assert (closing["allowance"], closing["tier"], closing["overage_messages"]) == (
        1_000,
        "free",
        240,
    )


def test_a_period_before_the_account_has_the_plan_that_it_was_brought_with(
    conn: Connection, database_url: str
) -> None:
    user_id = demo.ensure_user(conn, email="moved@example.com", full_name="Moved")
    customer = Customer(conn, user_id)
    customer.put(monthly_message_limit=100, subscription_tier="starter")
    customer.put(usage_period_start=JANUARY, monthly_messages_used=150)

    close(conn, database_url, today=FEBRUARY)

    assert [each["overage_messages"] for each in customer.closings()] == [50]


def test_changes_within_a_period_that_was_brought_along_count(
    conn: Connection, database_url: str
) -> None:
    user_id = demo.ensure_user(conn, email="moved@example.com", full_name="Moved")
    customer = Customer(conn, user_id)
    customer.put(monthly_message_limit=400)
    customer.put(usage_period_start=JANUARY, monthly_messages_used=500)
    half = datetime(2025, 1, 16, 12, tzinfo=UTC)
    customer.change_plan(half, monthly_message_limit=600, subscription_tier="starter")

    close(conn, database_url, today=FEBRUARY)

    (closing,) = customer.closings()
    assert (closing["allowance"], closing["tier"]) == (500, "starter")


def test_changes_of_counters_and_names_are_no_change_of_plan(customer: Customer) -> None:
    customer.put(full_name="Ann B.", monthly_messages_used=3, subscription_tier="free")

    count = customer.conn.execute("SELECT count(*) FROM worker.plan_changes").fetchone()

    assert count == (0,)


def test_messages_that_come_late_are_paid_with_the_next_period_once(
    customer: Customer, database_url: str
) -> None:
    customer.put(monthly_messages_used=990)
    customer.log(IN_JANUARY, 995)
    close(customer.conn, database_url, today=FEBRUARY)
    customer.log(IN_JANUARY, 10)
    customer.log(datetime(2025, 2, 3, tzinfo=UTC), 998)

    close(customer.conn, database_url, today=MARCH)
    customer.log(IN_JANUARY, 1_004)
    close(customer.conn, database_url, today=date(2025, 4, 1))

    seen = [
        (each["messages_used"], each["late_messages"], each["overage_messages"])
        for each in customer.closings()
    ]
    assert seen == [(995, 0, 0), (998, 10, 8), (0, 1_004, 4)]
    assert [each[1] for each in customer.transactions()] == [Decimal("0.16"), Decimal("0.08")]


def test_a_currency_without_a_price_keeps_the_period_open_until_there_is_one(
    customer: Customer, database_url: str
) -> None:
    other = sign_up(customer.conn, "ben", period_start=JANUARY)
    billing.set_terms(customer.conn, customer.id, tax_rate=None, currency="JPY")

    with pytest.raises(Permanent, match="tier free has none in JPY") as refused:
        close(customer.conn, database_url, today=MARCH)
    row = customer.conn.execute(
        "SELECT error_message FROM worker.billing_periods WHERE user_id = %s", (customer.id,)
    ).fetchall()
    billing.set_price(
        customer.conn,
        tier="free",
        currency="JPY",
        price=Decimal("2.5"),
        valid_from=datetime(2025, 1, 1, tzinfo=UTC),
    )
    close(customer.conn, database_url, today=MARCH)

    assert [message in str(refused.value) for (message,) in row] == [True]
    assert len(other.closings()) == 2
    assert [each["total"] for each in customer.closings()] == ["600", "0"]
    assert [each[1:5] for each in customer.transactions()] == [(600, 0, 600, "JPY")]
