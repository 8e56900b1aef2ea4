"""What closing a period leaves in the database: once, whole, and in order."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import uuid4

import psycopg
import pytest

from db import billing, jobs
from db.embedded import Services
from db.fence import Fence, LeaseLost
from db.jobs import Finish
from db.pool import Connection, connect, open_pool
from pipelines import close_billing_period
from pipelines.close_billing_period import run
from pipelines.errors import Permanent
from tests.billing import Customer, close, forget, hold, holding, sign_up
from tests.conftest import fresh_database
from tests.queueing import claim_one, start_worker
from workers import config
from workers.actors import load_doorways, run_job
from workers.jobs import CloseBillingPeriod, enqueue
from workers.tools import Toolbox

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


def test_the_job_closes_what_is_due_and_running_it_twice_changes_nothing(
    conn: Connection, database_url: str
) -> None:
    load_doorways()
    last_month = (datetime.now(UTC).date().replace(day=1) - timedelta(days=1)).replace(day=1)
    ann = sign_up(conn, "ann", period_start=last_month, monthly_messages_used=1_250)
    ben = sign_up(conn, "ben", period_start=last_month, monthly_messages_used=9)
    conn.execute("DELETE FROM worker.jobs")

    results = []
    with open_pool(database_url, size_max=2) as pool:
        for _ in range(2):
            enqueue(conn, CloseBillingPeriod())
            job = claim_one(conn, start_worker(conn))
            results.append(run_job(job, Toolbox(config.load(), pool)))
            jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "completed", result=results[-1])])
            conn.execute("DELETE FROM worker.jobs")

    assert results == [
        {"periods": 2, "transactions": 1, "complete": True},
        {"periods": 0, "transactions": 0, "complete": True},
    ]
    assert [each[1:4] for each in ann.transactions()] == [(5, 0, 5)]
    assert (len(ann.events()), len(ann.notifications())) == (1, 1)
    assert (len(ben.events()), ben.transactions(), ben.notifications()) == (1, [], [])


def test_an_attempt_that_lost_its_lease_closes_nothing(
    customer: Customer, database_url: str
) -> None:
    with holding(customer.conn, database_url) as db:
        customer.conn.execute("UPDATE worker.jobs SET attempt = attempt + 1")
        with pytest.raises(LeaseLost):
            run(db, today=FEBRUARY)

    assert (customer.closings(), customer.transactions(), customer.events()) == ([], [], [])


@pytest.mark.parametrize(
    "broken", ["keep_missed", "emit_closing", "notify", "freeze_period", "insert_transaction"]
)
def test_a_run_that_ended_midway_is_finished_by_the_next(
    customer: Customer, database_url: str, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    customer.put(billing_anchor_day=1)

    def end(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(billing, broken, end)
        with pytest.raises(KeyboardInterrupt):
            close(customer.conn, database_url, today=date(2025, 4, 1))
    before = len(customer.closings()), len(customer.events()), len(customer.transactions())
    close(customer.conn, database_url, today=date(2025, 4, 1))

    assert before == (0, 0, 0)
    assert [each["period_start"] for each in customer.closings()] == [
        "2025-01-01",
        "2025-02-01",
        "2025-03-01",
    ]
    assert (len(customer.events()), len(customer.transactions())) == (3, 1)


def test_an_overage_becomes_one_transaction_with_tax(customer: Customer, database_url: str) -> None:
    billing.set_terms(customer.conn, customer.id, tax_rate=Decimal("0.19"), currency=None)
    customer.put(monthly_messages_used=1_237)

    close(customer.conn, database_url, today=FEBRUARY)

    (closing,) = customer.closings()
    expected = (closing["transaction_id"], Decimal("4.74"), Decimal("0.90"), Decimal("5.64"))
    assert [each[:4] for each in customer.transactions()] == [expected]
    assert customer.transactions()[0][5] == closing["invoice_number"]
    assert customer.notifications() == [
        "2025-01-01 to 2025-01-31: 1,237 messages, 1,000 included, 237 more at 0.02 USD each:"
        " 5.64 USD, 0.90 USD of tax included."
    ]


def test_a_subscribed_webhook_gets_what_was_frozen(customer: Customer, database_url: str) -> None:
    customer.put(subscription_status="cancelled")

    close(customer.conn, database_url, today=FEBRUARY)

    (closing,) = customer.closings()
    assert customer.events() == [{**closing, "segments_cut": False, "subscription_tier": "free"}]
    assert closing["idempotency_key"] == f"overage:{customer.id}:2025-01-01"
    assert (closing["messages_used"], closing["total"]) == (1_240, "4.80")


def test_what_is_frozen_stays_so(customer: Customer, database_url: str) -> None:
    close(customer.conn, database_url, today=FEBRUARY)

    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is closed"):
        customer.conn.execute("UPDATE worker.billing_periods SET closed_at = NULL")


def test_a_period_within_its_allowance_has_an_event_and_no_transaction(
    customer: Customer, database_url: str
) -> None:
    customer.put(monthly_messages_used=1_000)

    close(customer.conn, database_url, today=FEBRUARY)

    (event,) = customer.events()
    assert (event["overage_messages"], event["total"], event["transaction_id"]) == (0, "0.00", None)
    assert (customer.transactions(), customer.notifications()) == ([], [])


def test_a_period_that_runs_is_left_alone(customer: Customer, database_url: str) -> None:
    report = close(customer.conn, database_url, today=date(2025, 1, 31))

    assert (report["periods"], customer.closings()) == (0, [])


def test_five_missed_months_are_closed_oldest_first(conn: Connection, database_url: str) -> None:
    customer = sign_up(conn, "ann", period_start=date(2025, 1, 31), monthly_messages_used=1_003)
    customer.log(datetime(2025, 4, 10, tzinfo=UTC), 1_001)

    close(conn, database_url, today=date(2025, 6, 30))

    closings = customer.closings()
    assert [(each["period_start"], each["period_end"]) for each in closings] == [
        ("2025-01-31", "2025-02-28"),
        ("2025-02-28", "2025-03-31"),
        ("2025-03-31", "2025-04-30"),
        ("2025-04-30", "2025-05-31"),
        ("2025-05-31", "2025-06-30"),
    ]
    assert [each["overage_messages"] for each in closings] == [3, 0, 1, 0, 0]
    order = conn.execute(
        "SELECT array_agg(period_start ORDER BY closed_at) = array_agg(period_start ORDER BY 1)"
        " FROM (SELECT period_start, closed_at FROM worker.billing_periods) AS b"
    ).fetchone()
    assert (order, len(customer.events())) == ((True,), 5)


def test_a_downtime_that_goes_on_in_the_middle_leaves_no_hole(
    customer: Customer, database_url: str
) -> None:
    with holding(customer.conn, database_url) as db:
        stopped = run(db, today=date(2025, 9, 1), duration_s_max=0)
        held_back = run(db, user_id=uuid4(), today=date(2025, 9, 1))
        rest = run(db, today=date(2025, 9, 1))

    assert (stopped["periods"], stopped["complete"]) == (1, False)
    assert (held_back["periods"], rest["periods"]) == (0, 7)


def test_eight_closings_at_once_close_once(customer: Customer, database_url: str) -> None:
    closers = 8
    together = threading.Barrier(closers)
    with (
        open_pool(database_url, size_max=closers) as pool,
        ThreadPoolExecutor(closers) as crew,
    ):

        def close_together(db: Fence) -> int:
            together.wait()
            return int(run(db, user_id=customer.id, today=date(2025, 5, 1))["periods"])

        fences = [hold(customer.conn, pool) for _ in range(closers)]
        closed = list(crew.map(close_together, fences))

    assert sum(closed) == 4
    assert [each["period_start"][:7] for each in customer.closings()] == [
        "2025-01",
        "2025-02",
        "2025-03",
        "2025-04",
    ]
    assert (len(customer.events()), len(customer.transactions())) == (4, 1)


def test_messages_that_are_counted_meanwhile_are_neither_refused_nor_lost(
    customer: Customer, database_url: str
) -> None:
    callers, messages = 3, 40
    customer.put(monthly_messages_used=0)

    def count(_: int) -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            for _ in range(messages):
                own.execute("SELECT increment_message_usage(%s)", (customer.id,))

    with ThreadPoolExecutor(callers) as crew:
        counting = crew.map(count, range(callers))
        close(customer.conn, database_url, today=datetime.now(UTC).date())
        list(counting)

    used = customer.conn.execute(
        "SELECT p.monthly_messages_used + (SELECT sum(b.messages_counted)"
        " FROM worker.billing_periods AS b) FROM user_profiles AS p"
    ).fetchone()
    assert used == (callers * messages,)


def test_a_transaction_that_somebody_else_made_is_not_made_again(
    customer: Customer, database_url: str
) -> None:
    customer.conn.execute(
        "INSERT INTO billing_transactions (id, user_id, type, amount, total_amount)"
        " VALUES (md5(%s)::uuid, %s, 'overage', 3, 3)",
        (f"overage:{customer.id}:2025-01-01", customer.id),
    )

    with pytest.raises(Permanent, match="is there already, with other amounts"):
        close(customer.conn, database_url, today=FEBRUARY)

    assert [each[1] for each in customer.transactions()] == [3]
    assert (customer.closings(), customer.events()) == ([], [])


def test_an_account_that_is_gone_has_nothing_to_close(
    customer: Customer, database_url: str
) -> None:
    customer.conn.execute("SELECT worker.end_periods(NULL, %s)", (FEBRUARY,))
    customer.conn.execute("DELETE FROM auth.users")

    report = close(customer.conn, database_url, today=FEBRUARY)
    by_id = close(customer.conn, database_url, today=FEBRUARY, user_id=customer.id)

    assert (report["periods"], by_id["periods"]) == (0, 0)


def test_an_anchor_that_moved_leaves_no_day_out(customer: Customer, database_url: str) -> None:
    close(customer.conn, database_url, today=FEBRUARY)
    customer.put(usage_period_start=date(2025, 4, 15), monthly_messages_used=0)

    close(customer.conn, database_url, today=date(2025, 6, 20))

    edges = [(each["period_start"], each["period_end"]) for each in customer.closings()]
    assert edges[0] == ("2025-01-01", "2025-02-01")
    assert all(one[1] == two[0] for one, two in pairwise(edges))
    assert edges[-1] == ("2025-05-15", "2025-06-15")


def test_many_users_are_found_in_batches(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(close_billing_period, "BATCH_USERS", 2)
    monkeypatch.setattr(close_billing_period, "BATCH_PROFILES", 2)
    for number in range(5):
        sign_up(conn, f"user{number}", period_start=JANUARY)

    report = close(conn, database_url, today=FEBRUARY)

    assert report["periods"] == 5
