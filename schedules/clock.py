"""The scheduler: APScheduler says when to look, the database what is due and who fires it.

Any number may run at once. A tick is a row that only one of them can insert, together with its
job; its time is the timetable's, judged by the database's clock. So neither restarts nor clocks
that jump fire anything twice.
"""

import logging
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import psycopg
from apscheduler.schedulers.background import BackgroundScheduler

from db import schedules
from db.pool import AWAY, Connection, connect, wait_for
from db.schedules import State
from schedules.times import Trigger, next_tick, settle, trigger_of
from schedules.timetable import TIMETABLE, Schedule
from workers.jobs import enqueue, kind_of
from workers.lease import Lease
from workers.payloads import encode

# Looked at this often whatever the alarms say: they go by this machine's clock.
SWEEP_S = 1.0

RETRY_S = 0.5

# Operational errors of one statement: Postgres is there.
BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)

log = logging.getLogger(__name__)


def serve(
    database_url: str, stopped: threading.Event, *, timetable: Sequence[Schedule] = TIMETABLE
) -> None:
    """Fire the timetable until stopped, connecting again whenever Postgres went away."""
    open_connection = partial(connect, database_url, name="avivro scheduler")
    lease = Lease(open_connection, process_id=uuid4(), role="scheduler", describe=dict)
    if not wait_for("Postgres", lease.register, stop=stopped.is_set):
        return
    lease.start()
    clock = Clock(timetable)
    while wait_for("Postgres", lambda: open_connection().close(), stop=stopped.is_set):
        try:
            with open_connection() as conn:
                clock.run(conn, stopped)
        except AWAY as error:
            log.warning("Postgres went away: %s", str(error).strip().partition("\n")[0])
            stopped.wait(RETRY_S)
    lease.resign()


class Clock:
    """One scheduler. It remembers nothing that decides: what is due is in the database."""

    def __init__(self, timetable: Sequence[Schedule] = TIMETABLE) -> None:
        self._timetable = timetable
        self._alarm = threading.Event()
        self._alarms = Alarms(self._alarm)
        self._said: dict[str, str] = {}

    def run(self, conn: Connection, stopped: threading.Event) -> None:
        """Look at every alarm and every sweep. Raises one of AWAY when Postgres goes away."""
        announced = False
        self._alarms.start()
        try:
            while not stopped.is_set():
                self._alarm.clear()
                announced = announced or self._announce(conn)
                self.look(conn)
                self._alarm.wait(SWEEP_S)
        finally:
            self._alarms.stop()

    def look(self, conn: Connection, *, now: datetime | None = None) -> None:
        """Settle what is due; `now` is the database's clock unless given."""
        now, states = self._read(conn, now)
        for schedule in self._timetable:
            with self._going_on(f"schedule {schedule.name} cannot be fired"):
                self._settle(conn, schedule, states[schedule.name], now=now)

    def _announce(self, conn: Connection) -> bool:
        """False while somebody holds a row that is to be changed."""
        with self._going_on("the timetable cannot be written down"), short(conn):
            announce(conn, self._timetable, now=schedules.read_clock(conn))
            return True
        return False

    @contextmanager
    def _going_on(self, trouble: str) -> Iterator[None]:
        """One that cannot be fired holds up no other, and is said once; it shows as late."""
        try:
            yield
            self._said.pop(trouble, None)
        except psycopg.Error as error:
            if isinstance(error, AWAY) and not isinstance(error, BUSY):
                raise
            if self._said.get(trouble) != str(error):
                log.error("%s: %s", trouble, error)
                self._said[trouble] = str(error)

    def _read(self, conn: Connection, now: datetime | None) -> tuple[datetime, dict[str, State]]:
        with conn.transaction():
            now = now or schedules.read_clock(conn)
            states = schedules.list_states(conn, now=now)
            if not states.keys() >= {schedule.name for schedule in self._timetable}:
                announce(conn, self._timetable, now=now)
                states = schedules.list_states(conn, now=now)
            if any(state.begins_at > now for state in states.values()):
                schedules.begin_now(conn, now=now)
            return now, states

    def _settle(self, conn: Connection, schedule: Schedule, state: State, *, now: datetime) -> None:
        trigger = trigger_of(cron_in_force(schedule, state))
        self._alarms.follow(schedule.name, trigger)
        if state.paused_at is not None:
            return
        due = settle(trigger, state, schedule.policy, now=now)
        if due.skipped:
            skip(conn, schedule, due.skipped, now=now)
            if due.forgot:
                log.warning("schedule %s: missed ticks before them are not noted", schedule.name)
        for fire_at in due.made_up:
            fire(conn, schedule, fire_at=fire_at, now=now, made_up=True)
        for fire_at in due.fired:
            fire(conn, schedule, fire_at=fire_at, now=now)
        if due.next_at != state.next_at:
            with short(conn):
                schedules.plan(conn, schedule.name, next_at=due.next_at)


class Alarms:
    """APScheduler's: they wake a scheduler at the times of its schedules, and follow edits."""

    def __init__(self, alarm: threading.Event) -> None:
        self._alarm = alarm
        self._scheduler: BackgroundScheduler | None = None
        self._followed: dict[str, Trigger] = {}

    def start(self) -> None:
        """A late alarm still rings, and several late ones ring once: it only wakes us."""
        self._followed = {}
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True}
        )
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    def follow(self, name: str, trigger: Trigger) -> None:
        """Ring at other times from now on, where these are others."""
        if self._scheduler is None or self._followed.get(name) is trigger:
            return
        self._scheduler.add_job(self._alarm.set, trigger, id=name, replace_existing=True)
        self._followed[name] = trigger


def cron_in_force(schedule: Schedule, state: State | None) -> str:
    """What an operator wrote, or the timetable's own where this version cannot read that."""
    if state is None or state.cron_override is None:
        return schedule.cron
    try:
        trigger_of(state.cron_override)
    except ValueError:
        return schedule.cron
    return state.cron_override


def announce(conn: Connection, timetable: Sequence[Schedule], *, now: datetime) -> None:
    """Write the timetable into the database. What is new begins with its next time."""
    for schedule in timetable:
        schedules.upsert_schedule(
            conn,
            schedule.name,
            kind=kind_of(schedule.payload).name,
            args=encode(schedule.payload),
            unique_key=schedule.unique_key,
            cron=schedule.cron,
            missed=schedule.missed,
            catch_up_s=schedule.catch_up_s,
            now=now,
            next_at=next_tick(trigger_of(schedule.cron), now),
        )
    schedules.retire_others(conn, [schedule.name for schedule in timetable])


@contextmanager
def short(conn: Connection) -> Iterator[None]:
    """A transaction that neither waits for others for long nor lets them wait."""
    with conn.transaction():
        schedules.limit_waits(conn)
        yield


def fire(
    conn: Connection,
    schedule: Schedule,
    *,
    fire_at: datetime,
    now: datetime,
    made_up: bool = False,
) -> int | None:
    """The tick and its job, or neither; None when the tick was fired or the schedule is paused."""
    with short(conn):
        claimed = schedules.claim_tick(
            conn, schedule.name, fire_at=fire_at, now=now, made_up=made_up
        )
        if not claimed:
            return None
        spread = timedelta(seconds=schedule.jitter_s * random.random())  # noqa: S311 - no secret
        job_id = enqueue(
            conn, schedule.payload, unique_key=schedule.unique_key, run_at=fire_at + spread
        )
        schedules.name_job(conn, schedule.name, fire_at=fire_at, job_id=job_id)
    late = ", made up" if made_up else ""
    log.info("schedule %s fired for %s%s: job %d", schedule.name, f"{fire_at:%F %T}", late, job_id)
    return job_id


def skip(
    conn: Connection, schedule: Schedule, fire_at: Sequence[datetime], *, now: datetime
) -> None:
    with short(conn):
        schedules.skip_ticks(conn, schedule.name, fire_at=fire_at, now=now)
    log.warning(
        "schedule %s skipped %d missed ticks, %s to %s",
        schedule.name,
        len(fire_at),
        f"{fire_at[0]:%F %T}",
        f"{fire_at[-1]:%F %T}",
    )
