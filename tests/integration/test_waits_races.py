"""Waits in any order of events: nobody is let go early, nobody is forgotten."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import combinations

import psycopg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from db import jobs, waits
from db.jobs import Finish
from db.pool import Connection, connect
from tests.processes import wait_until
from tests.queueing import claim_one, start_worker
from workers.chains import enqueue_after
from workers.jobs import Probe, enqueue

ROUNDS = 60
ACTORS = 3
# A blocked step gives way: the machine has one thread.
LOCK_TIMEOUT = "5ms"
FINISHED = ["completed", "discarded", "cancelled"]

actors = st.integers(0, ACTORS - 1)
picks = st.integers(0, 7)
several = st.lists(picks, min_size=1, max_size=3)
# Most transactions are short; the others are what makes races.
left_open = st.sampled_from([False, False, True])


def test_a_wait_added_while_its_job_finishes_always_ends(
    database_url: str, conn: Connection
) -> None:
    waiters: list[int] = []
    worker_id = start_worker(conn)
    barrier = threading.Barrier(2)
    over = threading.Event()

    def settle_all_the_time() -> None:
        with connect(database_url, autocommit=True) as settler:
            while not over.is_set():
                waits.settle(settler, rows_max=3)

    def add_waits() -> None:
        with connect(database_url, autocommit=True) as adding:
            for _ in range(ROUNDS):
                barrier.wait()
                waiters.append(enqueue_after(adding, Probe(), after=[current[0]]))
                barrier.wait()

    current = [0]
    settlers = [threading.Thread(target=settle_all_the_time) for _ in range(2)]
    adder = threading.Thread(target=add_waits)
    for thread in (*settlers, adder):
        thread.start()
    for _ in range(ROUNDS):
        current[0] = enqueue(conn, Probe(), priority=-1)
        job = claim_one(conn, worker_id)
        barrier.wait()
        jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "completed")])
        barrier.wait()
    adder.join()

    released = wait_until(lambda: all_available(conn, waiters), "all waiters are let go")
    over.set()
    for thread in settlers:
        thread.join()

    assert released
    assert len(waiters) == ROUNDS


def all_available(conn: Connection, ids: list[int]) -> bool:
    found = conn.execute(
        "SELECT bool_and(state = 'available') FROM worker.jobs WHERE id = ANY(%s)", (ids,)
    ).fetchone()
    return found == (True,)


class Waiting(RuleBasedStateMachine):
    """Three actors with transactions of their own do what users, workers and dispatchers do."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.conns = [connect(self.url) for _ in range(ACTORS)]
        self.released: list[list[int]] = [[] for _ in range(ACTORS)]
        self.times_released: Counter[int] = Counter()
        with connect(self.url, autocommit=True) as conn:
            conn.execute("TRUNCATE worker.jobs, worker.waits, worker.ends")
            members = [enqueue(conn, Probe()) for _ in range(3)]
            for pair in combinations(members, 2):
                enqueue_after(conn, Probe(), after=pair, even_if_failed=True)
        for conn in self.conns:
            conn.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'".encode())
            conn.commit()

    @rule(
        actor=actors,
        left_open=left_open,
        picked=several,
        anyway=st.booleans(),
    )
    def enqueue_after(self, actor: int, left_open: bool, picked: list[int], anyway: bool) -> None:
        self.act(
            actor,
            left_open,
            lambda conn: enqueue_after(
                conn, Probe(), after=choose(conn, picked), even_if_failed=anyway
            ),
        )

    @rule(
        actor=actors,
        left_open=left_open,
        waiter=picks,
        picked=several,
    )
    def add_waits(self, actor: int, left_open: bool, waiter: int, picked: list[int]) -> None:
        self.act(
            actor,
            left_open,
            lambda conn: waits.add_waits(
                conn, choose(conn, [waiter], blocked=True)[0], after=choose(conn, picked)
            ),
        )

    @rule(actor=actors, left_open=left_open, picked=several, state=st.sampled_from(FINISHED))
    def finish(self, actor: int, left_open: bool, picked: list[int], state: str) -> None:
        self.act(actor, left_open, lambda conn: finish(conn, picked, state))

    @rule(actor=actors, left_open=left_open, picked=picks)
    def cancel(self, actor: int, left_open: bool, picked: int) -> None:
        self.act(
            actor,
            left_open,
            lambda conn: jobs.cancel_jobs(conn, choose(conn, [picked]), reason="no"),
        )

    @rule(actor=actors, left_open=left_open, picked=picks)
    def retry(self, actor: int, left_open: bool, picked: int) -> None:
        self.act(
            actor, left_open, lambda conn: jobs.retry_jobs(conn, choose(conn, [picked], ended=True))
        )

    @rule(actor=actors, left_open=left_open, picked=picks)
    def forget(self, actor: int, left_open: bool, picked: int) -> None:
        self.act(actor, left_open, lambda conn: delete(conn, choose(conn, [picked], ended=True)))

    @rule(actor=actors, left_open=left_open, rows_max=st.sampled_from([1, 2, 100]))
    def settle(self, actor: int, left_open: bool, rows_max: int) -> None:
        self.act(actor, left_open, lambda conn: self.settle_and_check(actor, conn, rows_max))

    @rule(order=st.permutations(range(ACTORS)), first=picks, state=st.sampled_from(FINISHED))
    def settle_side_by_side(self, order: list[int], first: int, state: str) -> None:
        """Two ends, each taken by another settler before either has committed."""
        one, two, _ = order
        for actor in (one, two):
            self.commit(actor)
        self.act(one, False, lambda conn: finish(conn, [first, first + 1], state))
        for actor in (one, two):
            self.settle(actor, left_open=True, rows_max=1)
        for actor in (one, two):
            self.commit(actor)

    @rule(actor=actors)
    def commit(self, actor: int) -> None:
        self.conns[actor].commit()
        self.times_released.update(self.released[actor])
        self.released[actor] = []

    @rule(actor=actors)
    def roll_back(self, actor: int) -> None:
        self.conns[actor].rollback()
        self.released[actor] = []

    def act(self, actor: int, left_open: bool, step: Callable[[Connection], object]) -> None:
        """A step that is refused or would wait for another actor did not happen."""
        try:
            step(self.conns[actor])
        except (
            psycopg.errors.LockNotAvailable,
            psycopg.errors.DeadlockDetected,
            psycopg.errors.InvalidParameterValue,
        ):
            self.roll_back(actor)
        if not left_open:
            self.commit(actor)

    def settle_and_check(self, actor: int, conn: Connection, rows_max: int) -> int:
        """Who is let go has nothing left to wait for, and is told the truth about it."""
        before = list_blocked(conn)
        waits.settle(conn, rows_max=rows_max)
        let_go = before - list_blocked(conn)
        for waiter in let_go:
            job = jobs.get_job(conn, waiter)
            counted = count_states(conn, waiter)
            assert job is not None
            assert counted.keys() <= {*FINISHED, None}, (waiter, counted)
            assert job.waited is not None
            assert job.waited["discarded"] >= counted["discarded"]
            assert job.waited["cancelled"] >= counted["cancelled"]
            assert sum(job.waited.values()) == counted.total()
        self.released[actor] += let_go
        return len(let_go)

    def teardown(self) -> None:
        """When all has ended and all is settled, nobody waits any more."""
        for actor in range(ACTORS):
            self.commit(actor)
        last = self.conns[0]
        while self.settle_and_check(0, last, 100) or finish(last, range(100), "completed"):
            self.commit(0)
        self.commit(0)
        blocked = list_blocked(last)
        marks = last.execute("SELECT count(*) FROM worker.ends").fetchone()
        for conn in self.conns:
            conn.close()
        assert blocked == set()
        assert marks == (0,)
        assert set(self.times_released.values()) <= {1}


def test_whatever_happens_waiters_are_let_go_once_and_never_early(database_url: str) -> None:
    machine = type("Here", (Waiting,), {"url": database_url})

    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=40, deadline=None)
    )


def choose(
    conn: Connection,
    picked: Iterable[int],
    *,
    blocked: bool = False,
    runnable: bool = False,
    ended: bool = False,
) -> list[int]:
    """The picked ones of the jobs that this connection sees; 0, which is no job, without any."""
    found = conn.execute(
        """
        SELECT id FROM worker.jobs
        WHERE (NOT %s OR blocked AND state = 'scheduled') AND (NOT %s OR state = 'available')
          AND (NOT %s OR state = ANY(%s)) ORDER BY id
        """,
        (blocked, runnable, ended, FINISHED),
    ).fetchall()
    return sorted({found[pick % len(found)][0] if found else 0 for pick in picked})


def list_blocked(conn: Connection) -> set[int]:
    found = conn.execute("SELECT id FROM worker.jobs WHERE blocked AND state = 'scheduled'")
    return {row[0] for row in found}


def count_states(conn: Connection, waiter: int) -> Counter[str | None]:
    """The states of all it waited for; None for those that are gone."""
    found = conn.execute(
        "SELECT j.state FROM worker.waits AS w LEFT JOIN worker.jobs AS j ON j.id = w.waits_for"
        " WHERE w.job_id = %s",
        (waiter,),
    )
    return Counter(row[0] for row in found)


def finish(conn: Connection, picked: Iterable[int], state: str) -> int:
    return conn.execute(
        "UPDATE worker.jobs SET state = %s, finished_at = now()"
        " WHERE id = ANY(%s) AND state = 'available'",
        (state, choose(conn, picked, runnable=True)),
    ).rowcount


def delete(conn: Connection, ids: list[int]) -> None:
    conn.execute("DELETE FROM worker.jobs WHERE id = ANY(%s) AND NOT blocked", (ids,))
