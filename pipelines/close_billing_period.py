"""The story of `close_billing_period`: each period that is over is decided once, and frozen.

Nothing is charged: the row of billing_transactions and the event are handed to the payment side.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from typing import Any
from uuid import UUID

from db import billing
from db.billing import Account, Counted, Ended, Transaction
from db.fence import Fence
from db.pool import Connection
from pipelines.batching import batches, pages
from pipelines.billing.allowance import Change, Plan, Segment, segments
from pipelines.billing.closing import Closing, Terms, Usage, announced, close, describe, frozen
from pipelines.billing.periods import Period, following
from pipelines.errors import Permanent

BATCH_PROFILES = 200
BATCH_USERS = 200
# The next tick goes on where this one stopped.
DURATION_S_MAX = 240.0
# How many closed periods are counted again, for messages that came late.
LATE_PERIODS = 3
REFUSALS_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Refused:
    """A period that stays open, and why."""

    user_id: UUID
    period: Period
    reason: str


@dataclass(slots=True)
class Tally:
    periods: int = 0
    transactions: int = 0
    refused: list[Refused] = field(default_factory=list)

    def add(self, outcome: Closing | Refused) -> None:
        if isinstance(outcome, Refused):
            self.refused.append(outcome)
        else:
            self.periods += 1
            self.transactions += outcome.is_charged


def run(
    db: Fence,
    *,
    user_id: UUID | None = None,
    today: date | None = None,
    duration_s_max: float = DURATION_S_MAX,
) -> dict[str, Any]:
    """How many periods were closed. Raises Permanent at the end for those that could not be."""
    until = time.monotonic() + duration_s_max
    with db.read() as conn:
        day = today or billing.read_today(conn)
    end_periods(db, user_id, today=day)
    tally, complete = Tally(), True
    for outcome in close_all(db, due_users(db, day) if user_id is None else [user_id], today=day):
        tally.add(outcome)
        if time.monotonic() >= until:
            complete = False
            break
    if tally.refused:
        raise Permanent(complain(tally))
    return {
        "periods": tally.periods,
        "transactions": tally.transactions,
        "complete": complete,
    }


def end_periods(db: Fence, user_id: UUID | None, *, today: date) -> None:
    """Begin the running periods of those whose last one is over."""
    if user_id is not None:
        with db.write() as conn:
            billing.end_period(conn, user_id, today=today)
        return

    def end_next() -> int:
        with db.write() as conn:
            return billing.end_periods(conn, profiles_max=BATCH_PROFILES, today=today)

    for _ in batches(end_next, rows_max=BATCH_PROFILES):
        pass


def due_users(db: Fence, today: date) -> Iterator[UUID]:
    """Users with a period to close. Each once: who is refused waits for the next tick."""

    def find_next(after: UUID | None) -> list[UUID]:
        with db.read() as conn:
            return billing.list_due(
                conn, today=today, after=after or UUID(int=0), users_max=BATCH_USERS
            )

    return chain.from_iterable(pages(find_next, rows_max=BATCH_USERS))


def close_all(db: Fence, users: Iterable[UUID], *, today: date) -> Iterator[Closing | Refused]:
    """Period after period, oldest first: a user's later ones wait for one that is refused."""
    for user_id in users:
        while outcome := close_next(db, user_id, today=today):
            yield outcome
            if isinstance(outcome, Refused):
                break


def close_next(db: Fence, user_id: UUID, *, today: date) -> Closing | Refused | None:
    """The user's oldest period, in one transaction; None where nothing is left to close."""
    with db.write() as conn:
        ended = billing.take_period(conn, user_id, today=today)
        if ended is None:
            return None
        period = Period(ended.period_start, ended.period_end)
        counts = billing.count_messages(
            conn, user_id, period_start=period.start, periods_max=1 + LATE_PERIODS
        )
        account = billing.read_account(conn, user_id)
        if account is None:
            return None
        try:
            closing = decide(conn, user_id, ended, account, counts)
            keep_transaction(conn, closing)
        except Permanent as error:
            billing.refuse_period(conn, user_id, period_start=period.start, message=str(error))
            return Refused(user_id, period, str(error))
        store(conn, closing, account, counts)
        return closing


def decide(
    conn: Connection, user_id: UUID, ended: Ended, account: Account, counts: list[Counted]
) -> Closing:
    """Gather what else counts, and decide. Raises Permanent where there is no price."""
    period = Period(ended.period_start, ended.period_end)
    current, *earlier = counts
    usage = Usage(current.counted, current.logged, late=sum(map(late_messages, earlier)))
    parts = plans_of(conn, user_id, period, ended, account)
    agreed = billing.read_terms(conn, user_id) or billing.Terms("USD", billing.NO_TAX)
    tier = parts[-1].plan.tier
    price = billing.read_price(conn, tier=tier, currency=agreed.currency, until=period.end_at)
    terms = Terms(tier, agreed.currency, agreed.tax_rate, price)
    return close(user_id, period, usage=usage, parts=parts, terms=terms)


def late_messages(count: Counted) -> int:
    """Messages of a closed period that its closing did not know of."""
    if count.known is None:
        return 0
    return max(0, max(count.counted, count.logged) - count.known)


def plans_of(
    conn: Connection, user_id: UUID, period: Period, ended: Ended, account: Account
) -> list[Segment]:
    changes = [
        Change(change.changed_at, Plan(change.tier, change.message_limit))
        for change in billing.list_changes(conn, user_id, since=period.start_at)
    ]
    if account.created_at < period.end_at:
        return segments(period, changes, today=Plan(account.tier, account.message_limit))
    # A period before the account's first day was brought along, with the plan that it was ended
    # with: what changed after it says nothing of it.
    within = [change for change in changes if change.at < period.end_at]
    return segments(period, within, today=Plan(ended.tier, ended.message_limit))


def keep_transaction(conn: Connection, closing: Closing) -> None:
    if not closing.is_charged:
        return
    wanted = Transaction(
        id=closing.transaction_id,
        user_id=closing.user_id,
        amount=closing.amounts.amount,
        tax=closing.amounts.tax,
        total=closing.amounts.total,
        currency=closing.terms.currency,
        invoice_number=closing.invoice_number,
        description=describe(closing),
    )
    if not billing.insert_transaction(conn, wanted):
        raise Permanent(
            f"transaction {wanted.id} is there already, with other amounts than"
            f" {wanted.amount} and {wanted.tax} {wanted.currency} of tax"
        )


def store(conn: Connection, closing: Closing, account: Account, counts: list[Counted]) -> None:
    user_id, period = closing.user_id, closing.period
    billing.freeze_period(
        conn,
        user_id,
        period_start=period.start,
        idempotency_key=closing.idempotency_key,
        closing=frozen(closing),
    )
    for count in counts[1:]:
        if late := late_messages(count):
            billing.note_late(conn, user_id, period_start=count.period_start, messages=late)
    keep_missed(conn, closing, account)
    heard = announced(closing, subscription_tier=account.tier)
    billing.emit_closing(conn, user_id, content=heard)
    if closing.is_charged:
        billing.notify(conn, user_id, **tell(closing))


def keep_missed(conn: Connection, closing: Closing, account: Account) -> None:
    """Keep the period after this one, if nobody did: who has one to close always has a row."""
    known_start = billing.find_next_start(
        conn,
        closing.user_id,
        period_end=closing.period.end,
        running_start=account.running_start,
    )
    missed = following(closing.period, anchor_day=account.anchor_day, known_start=known_start)
    if missed is not None:
        billing.keep_missed(conn, closing.user_id, period_start=missed.start, period_end=missed.end)


def tell(closing: Closing) -> dict[str, str]:
    amounts, currency = closing.amounts, closing.terms.currency
    tax = f", {amounts.tax} {currency} of tax included" if amounts.tax else ""
    return {
        "title": f"{closing.overage:,} messages above your allowance",
        "message": f"{describe(closing)}: {amounts.total} {currency}{tax}.",
    }


def complain(tally: Tally) -> str:
    """What an operator has to mend, by customer."""
    named = "; ".join(
        f"user {each.user_id}, {each.period.start}: {each.reason}"
        for each in tally.refused[:REFUSALS_NAMED_MAX]
    )
    return (
        f"closed {tally.periods} periods, {len(tally.refused)} could not be closed and stay open,"
        f" with those after them: {named}"
    )
