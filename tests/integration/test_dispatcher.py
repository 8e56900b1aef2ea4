"""A dispatcher's turns on real servers: shares, caps, rates, pauses, and a Redis that is full."""

import threading
from collections import Counter
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
import redis

from db import jobs, lanes
from db.jobs import Finish, Ticket
from db.pool import Connection, connect
from tests.processes import wait_until
from tests.queueing import start_worker, state
from workers import dispatcher
from workers.dispatcher import Dispatcher
from workers.runway import Runway
from workers.runway_errors import RunwayDown

A, B = uuid4(), uuid4()


@pytest.fixture
def runway(redis_url: str) -> Iterator[Runway]:
    opened = Runway(redis_url)
    yield opened
    opened.close()


@pytest.fixture
def dealer(database_url: str, runway: Runway) -> Iterator[Dispatcher]:
    with connect(database_url) as own:
        yield Dispatcher(own, runway, wait=lambda timeout_s: None)


def fill(conn: Connection, count: int, *, tenant: UUID | None = None, **args: object) -> list[int]:
    return jobs.enqueue_many(conn, "probe", [args] * count, tenant=tenant)


def taken(runway: Runway, count: int = 1000) -> list[int]:
    return [ticket.job_id for ticket in runway.pop("default", count)]


def run_taken(conn: Connection, runway: Runway, worker_id: UUID) -> list[int]:
    """Claim and complete what lies on the runway; ids in order."""
    with conn.transaction():
        claimed = jobs.claim_jobs(conn, runway.pop("default", 1000), worker_id=worker_id)
        jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "completed") for job in claimed])
    return [job.id for job in claimed]


def test_a_late_tenant_waits_for_no_flood(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    worker_id = start_worker(conn)
    fill(conn, 500, tenant=A)
    dealer.turn()
    run_taken(conn, runway, worker_id)
    (late,) = fill(conn, 1, tenant=B)

    dealer.turn()

    assert late in taken(runway)[:2]


def test_tenants_alternate_also_when_one_place_becomes_free_at_a_time(
    conn: Connection, runway: Runway, dealer: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "runway_jobs", lambda threads, job_ms: 1)
    worker_id = start_worker(conn)
    of_a = set(fill(conn, 20, tenant=A))
    fill(conn, 20, tenant=B)

    ran = []
    for _ in range(12):
        dealer.turn()
        ran += run_taken(conn, runway, worker_id)

    assert sum(job_id in of_a for job_id in ran) == 6


def test_a_tenant_with_weight_three_gets_three_of_four(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    start_worker(conn)
    conn.execute("INSERT INTO worker.tenants VALUES (%s, 3)", (B,))
    of_a = set(fill(conn, 100, tenant=A))
    fill(conn, 100, tenant=B)

    dealer.turn()

    ran = taken(runway)
    assert sum(job_id in of_a for job_id in ran) == len(ran) // 4


def test_a_short_lane_leaves_its_room_to_the_others(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    start_worker(conn)
    first = jobs.enqueue(conn, "probe", {}, priority=-1)
    fill(conn, 50)

    dealer.turn()

    ran = taken(runway)
    assert (ran[0], len(ran)) == (first, 24)


def test_a_cap_holds_for_each_key_and_delays_no_other(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    start_worker(conn)
    conn.execute("UPDATE worker.kinds SET cap = 2, limit_by = 'effect' WHERE kind = 'probe'")
    dead = set(fill(conn, 400, effect="dead"))
    (live,) = fill(conn, 1, effect="live")

    dealer.turn()
    dealer.turn()

    ran = taken(runway)
    assert (sum(job_id in dead for job_id in ran), live in ran) == (2, True)


def test_a_cap_lets_the_next_go_when_one_ends(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    worker_id = start_worker(conn)
    conn.execute("UPDATE worker.kinds SET cap = 1 WHERE kind = 'probe'")
    ids = fill(conn, 3)

    ran = []
    for _ in range(4):
        dealer.turn()
        ran.append(run_taken(conn, runway, worker_id))

    assert ran == [[ids[0]], [ids[1]], [ids[2]], []]


def hold(conn: Connection, key: str, *, cap: int = 0, for_s: float | None = None) -> None:
    conn.execute(
        "INSERT INTO worker.lane_holds (lane, cap, until_at, reason)"
        " VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s), 'it refuses everything')",
        (f"probe:{key}", cap, for_s),
    )


def release(conn: Connection, key: str) -> None:
    conn.execute("DELETE FROM worker.lane_holds WHERE lane = %s", (f"probe:{key}",))


@pytest.fixture
def keyed(conn: Connection) -> None:
    conn.execute("UPDATE worker.kinds SET cap = 16, limit_by = 'effect' WHERE kind = 'probe'")


@pytest.mark.usefixtures("keyed")
def test_a_held_lane_gets_nothing_and_delays_no_other(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    worker_id = start_worker(conn)
    hold(conn, "dead")
    dead = fill(conn, 10, effect="dead")
    (live,) = fill(conn, 1, effect="live")

    turn = dealer.turn()
    ran = run_taken(conn, runway, worker_id)
    release(conn, "dead")
    dealer.turn()

    assert (ran, turn.held_s) == ([live], None)
    assert run_taken(conn, runway, worker_id) == dead


@pytest.mark.usefixtures("keyed")
def test_a_hold_that_allows_some_is_a_cap(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    worker_id = start_worker(conn)
    hold(conn, "slow", cap=2)
    slow = fill(conn, 5, effect="slow")

    turn = dealer.turn()
    first = run_taken(conn, runway, worker_id)
    dealer.turn()

    assert (first, turn.held_s) == (slow[:2], dispatcher.BUSY_SLEEP_S_MAX)
    assert run_taken(conn, runway, worker_id) == slow[2:4]


@pytest.mark.usefixtures("keyed")
def test_a_sleeping_dispatcher_goes_on_when_a_hold_ends(
    conn: Connection, database_url: str, runway: Runway
) -> None:
    worker_id = start_worker(conn)
    hold(conn, "dead", for_s=0.3)
    dead = fill(conn, 3, effect="dead")
    slept: list[float] = []
    stopped = threading.Event()

    def wait(timeout_s: float) -> None:
        slept.append(timeout_s)
        stopped.wait(timeout_s)

    with connect(database_url) as own:
        running = threading.Thread(target=Dispatcher(own, runway, wait=wait).run, args=(stopped,))
        running.start()
        ran = wait_until(lambda: run_taken(conn, runway, worker_id), "the hold's end")
        stopped.set()
        running.join()

    assert ran == dead
    assert slept[0] < 0.3


@pytest.mark.usefixtures("keyed")
def test_whoever_changes_a_hold_wakes_a_sleeping_dispatcher(
    conn: Connection, database_url: str
) -> None:
    with connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN worker_jobs")
        hold(conn, "awake")
        jobs.set_idle(conn, idle=True)
        hold(conn, "dead")
        conn.execute("UPDATE worker.lane_holds SET cap = 1 WHERE lane = 'probe:dead'")
        release(conn, "dead")

        calls = list(listener.notifies(timeout=5, stop_after=3))

    assert len(calls) == 3


@pytest.mark.usefixtures("keyed")
def test_held_jobs_cost_a_turn_nothing(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    worker_id = start_worker(conn)
    hold(conn, "dead")
    fill(conn, 10_000, effect="dead")
    (live,) = fill(conn, 1, effect="live")
    dealer.turn()
    scanned = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = %s"

    def rows_read() -> int:
        """What all turns so far read of the backlog's index."""
        dealer._conn.execute("SELECT pg_stat_force_next_flush()")
        dealer._conn.commit()
        row = conn.execute(scanned, ["jobs_available_idx"]).fetchone()
        assert row is not None
        return int(row[0])

    before = rows_read()
    dealer.turn()

    assert run_taken(conn, runway, worker_id) == [live]
    assert rows_read() - before < 10


@pytest.mark.usefixtures("keyed")
def test_a_lane_behind_many_held_ones_is_found(
    conn: Connection, runway: Runway, dealer: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LANES_MAX", 10)
    worker_id = start_worker(conn)
    for number in range(30):
        hold(conn, f"dead {number}")
        fill(conn, 1, effect=f"dead {number}")
    (live,) = fill(conn, 1, effect="live")

    turns = [dealer.turn() for _ in range(4)]

    assert [turn.held_s for turn in turns[:3]] == [dispatcher.NEXT_LANES_S] * 3
    assert run_taken(conn, runway, worker_id) == [live]


def test_a_rate_allows_its_burst_and_then_its_pace(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    start_worker(conn)
    conn.execute("UPDATE worker.kinds SET rate_per_s = 4, burst = 3 WHERE kind = 'probe'")
    fill(conn, 20)

    turn = dealer.turn()
    at_once = taken(runway)
    wait_until(lambda: dealer.turn().moved, "a new token")

    assert (len(at_once), len(taken(runway))) == (3, 1)
    assert turn.held_s is not None


@pytest.mark.parametrize("scope", ["queue", "kind", "tenant"])
def test_what_is_paused_comes_back_from_the_runway_and_stays_until_resumed(
    conn: Connection, runway: Runway, dealer: Dispatcher, scope: str
) -> None:
    worker_id = start_worker(conn)
    ids = fill(conn, 5, tenant=A)
    dealer.turn()
    name = {"queue": "default", "kind": "probe", "tenant": str(A)}[scope]

    with conn.transaction():
        recalled = lanes.pause(conn, scope=scope, name=name, reason="incident 7")
    dealer.turn()
    ran_paused = run_taken(conn, runway, worker_id)
    resumed = lanes.resume(conn, scope=scope, name=name)
    dealer.turn()

    assert (recalled, ran_paused, resumed) == (5, [], True)
    assert run_taken(conn, runway, worker_id) == ids


def test_a_paused_tenant_holds_up_no_other(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    start_worker(conn)
    fill(conn, 300, tenant=A)
    of_b = fill(conn, 3, tenant=B)
    with conn.transaction():
        lanes.pause(conn, scope="tenant", name=str(A))

    turn = dealer.turn()

    assert (taken(runway), turn.held_s) == (of_b, None)


def test_more_lanes_than_a_turn_looks_at_are_all_served(
    conn: Connection, runway: Runway, dealer: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LANES_MAX", 10)
    worker_id = start_worker(conn)
    for _ in range(60):
        fill(conn, 2, tenant=uuid4())

    ran = []
    for _ in range(30):
        dealer.turn()
        ran += run_taken(conn, runway, worker_id)

    assert len(ran) == len(set(ran)) == 120


def test_a_full_redis_is_back_pressure_and_no_loss(
    conn: Connection, runway: Runway, dealer: Dispatcher, redis_url: str
) -> None:
    worker_id = start_worker(conn)
    (job_id,) = fill(conn, 1)
    dealer.turn()
    run_taken(conn, runway, worker_id)
    (job_id,) = fill(conn, 1)
    with redis.Redis.from_url(redis_url) as client:
        before = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(RunwayDown, match="maxmemory"):
                dealer.turn()
            full = state(conn, job_id)
        finally:
            client.config_set("maxmemory", before)

    dealer.turn()

    assert (full, run_taken(conn, runway, worker_id)) == ("available", [job_id])


def test_two_dispatchers_share_the_work_and_send_each_job_once(
    conn: Connection, database_url: str, runway: Runway, redis_url: str
) -> None:
    worker_id = start_worker(conn)
    ids = fill(conn, 1000, tenant=A) + fill(conn, 1000, tenant=B)
    conn.execute("UPDATE worker.kinds SET cap = 40 WHERE kind = 'probe'")
    stopped = threading.Event()

    def dispatch_alone() -> None:
        with connect(database_url) as own:
            other = Dispatcher(own, Runway(redis_url), wait=lambda timeout_s: None)
            while not stopped.is_set():
                other.turn()

    threads = [threading.Thread(target=dispatch_alone) for _ in range(2)]
    for thread in threads:
        thread.start()
    ran: list[int] = []
    in_flight_most = 0

    def work() -> bool:
        nonlocal in_flight_most
        in_flight = sum(row[3] for row in lanes.count_in_flight(conn))
        in_flight_most = max(in_flight_most, in_flight)
        ran.extend(run_taken(conn, runway, worker_id))
        return len(ran) >= len(ids)

    wait_until(work, "all jobs dispatched")
    stopped.set()
    for thread in threads:
        thread.join()

    assert Counter(ran) == Counter(ids)
    assert in_flight_most <= 40


def test_a_cancelled_job_on_the_runway_is_not_claimed(
    conn: Connection, runway: Runway, dealer: Dispatcher
) -> None:
    worker_id = start_worker(conn)
    (job_id,) = fill(conn, 1)
    dealer.turn()

    cancelled = jobs.cancel_jobs(conn, [job_id], reason="not wanted")

    job = jobs.get_job(conn, job_id)
    assert job is not None
    assert (cancelled, run_taken(conn, runway, worker_id)) == ({job_id: "cancelled"}, [])
    assert (job.errors[-1]["error"], job.finished_at is not None) == ("not wanted", True)


def test_a_stranger_in_the_list_is_nobodys_ticket(
    conn: Connection, runway: Runway, dealer: Dispatcher, redis_url: str
) -> None:
    start_worker(conn)
    (job_id,) = fill(conn, 1)
    with redis.Redis.from_url(redis_url) as client:
        dealer.turn()
        client.rpush("avivro:runway:default", "rubbish", "7:x")

    assert runway.pop("default", 10) == [Ticket(job_id, 1)]
