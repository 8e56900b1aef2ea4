"""Whatever happens in whichever order, closings are those of a naive bookkeeper."""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db import billing
from db.embedded import Services
from db.pool import Connection, connect
from tests.billing import Customer, close, forget, sign_up
from tests.conftest import fresh_database

MONTHS = 5
LIMIT, RATE, PRICE = 40, Fraction("0.077"), Fraction("0.02")
LATE_PERIODS = 3
MINUTES = 60 * 24 * 30


@pytest.fixture(scope="module")
def url(services: Services, template: str) -> Iterator[str]:
    with fresh_database(services, template=template) as found:
        yield found


@pytest.fixture(scope="module")
def shared(url: str) -> Iterator[Connection]:
    with connect(url, autocommit=True) as connection:
        yield connection


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def starts(anchor_day: int) -> list[date]:
    """The first day of each period, and the one after the last."""
    months = range(1, MONTHS + 2)
    return [
        date(2025, month, min(anchor_day, calendar.monthrange(2025, month)[1])) for month in months
    ]


@dataclass
class Bookkeeper:
    """Keeps every message and limit, and counts from the beginning each time."""

    days: list[date]
    messages: list[datetime] = field(default_factory=list)
    # (until when, the limit until then)
    limits: list[tuple[datetime, int]] = field(default_factory=list)
    limit: int = LIMIT
    known: list[int] = field(default_factory=list)
    closings: list[tuple[int, int, Fraction, Fraction]] = field(default_factory=list)

    def close_until(self, day: date) -> None:
        while len(self.closings) < MONTHS and self.days[len(self.closings) + 1] <= day:
            self.close_one(len(self.closings))

    def close_one(self, place: int) -> None:
        used = late = self.count(place)
        for earlier in range(max(0, place - LATE_PERIODS), place):
            found = max(0, self.count(earlier) - self.known[earlier])
            self.known[earlier] += found
            late += found
        self.known.append(used)
        over = max(0, late - self.included(place))
        amount = cents(over * PRICE)
        self.closings.append((self.included(place), over, amount, amount + cents(amount * RATE)))

    def count(self, place: int) -> int:
        begins, ends = midnight(self.days[place]), midnight(self.days[place + 1])
        return sum(begins <= at < ends for at in self.messages)

    def included(self, place: int) -> int:
        """By the minute, in which everything happens here."""
        begins, ends = midnight(self.days[place]), midnight(self.days[place + 1])
        total, since = 0, begins
        for at, limit in [*self.limits, (ends, self.limit)]:
            until = max(begins, min(at, ends))
            total += limit * max(0, (until - since) // timedelta(minutes=1))
            since = max(since, until)
        return ceil(Fraction(total, (ends - begins) // timedelta(minutes=1)))


def cents(exact: Fraction) -> Fraction:
    return Fraction(floor(exact * 100 + Fraction(1, 2)), 100)


@dataclass(frozen=True)
class Happening:
    what: str
    place: int
    minutes: int
    number: int


def happen(customer: Customer, book: Bookkeeper, url: str, it: Happening) -> None:
    begins, ends = midnight(book.days[it.place]), midnight(book.days[it.place + 1])
    if it.what == "log":
        at = ends - timedelta(minutes=it.minutes)
        book.messages += [at] * it.number
        customer.log(at, it.number)
    elif it.what == "close":
        settle(customer, book, url, book.days[it.place])
    elif it.number != book.limit:
        since = max(at for at, _ in [(begins, 0), *book.limits])
        at = max(since, begins + timedelta(minutes=it.minutes))
        book.limits.append((at, book.limit))
        book.limit = it.number
        customer.change_plan(at, monthly_message_limit=it.number)


def settle(customer: Customer, book: Bookkeeper, url: str, today: date) -> None:
    close(customer.conn, url, today=today)
    book.close_until(today)


def seen(customer: Customer) -> list[tuple[int, int, Fraction, Fraction]]:
    return [
        (
            each["allowance"],
            each["overage_messages"],
            Fraction(each["amount"]),
            Fraction(each["total"]),
        )
        for each in customer.closings()
    ]


# What happens in a month: messages, which may be of an earlier one, a new limit, a closing.
HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("log"), st.integers(0, 3 * MINUTES), st.integers(1, 60)),
        st.tuples(st.just("plan"), st.integers(0, MINUTES // 2), st.integers(0, 99)),
        st.tuples(st.just("close"), st.just(0), st.just(0)),
    ),
    max_size=5,
)


@given(
    anchor_day=st.sampled_from([1, 15, 29, 31]),
    months=st.lists(HAPPENINGS, min_size=MONTHS, max_size=MONTHS),
)
@settings(max_examples=12, deadline=None)
def test_closings_agree_with_a_naive_bookkeeper(
    shared: Connection, url: str, anchor_day: int, months: list[list[tuple[str, int, int]]]
) -> None:
    forget(shared)
    book = Bookkeeper(starts(anchor_day))
    customer = sign_up(shared, "ann", period_start=book.days[0], monthly_message_limit=LIMIT)
    shared.execute("DELETE FROM worker.plan_changes")
    billing.set_terms(shared, customer.id, tax_rate=Decimal("0.077"), currency=None)

    for place, happenings in enumerate(months):
        for what, minutes, number in happenings:
            happen(customer, book, url, Happening(what, place, minutes, number))
    settle(customer, book, url, book.days[-1])

    assert seen(customer) == book.closings
    assert len(customer.events()) == MONTHS
    assert len(customer.transactions()) == sum(over > 0 for _, over, _, _ in book.closings)
