"""The scheduler: APScheduler says when to look, the database what is due and who fires it.

Any number may run at once. A tick is a row that only one of them can insert, together with its
job; its time is the timetable's, judged by the database's clock. So neither restarts nor clocks
that jump fire anything twice.
"""

import logging
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

from apscheduler.schedulers.background import BackgroundScheduler

from db import schedules
from db.pool import AWAY, Connection, connect, wait_for
from db.schedules import State
from schedules.times import due_ticks, next_tick, trigger_of
from schedules.timetable import TIMETABLE, Schedule
from workers.jobs import enqueue, kind_of
from workers.lease import Lease
from workers.payloads import encode

# Looked at this often whatever the alarms say: they go by this machine's clock.
SWEEP_S = 1.0

RETRY_S = 0.5

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
    """One scheduler's view of time; it outlives its connections."""

    def __init__(self, timetable: Sequence[Schedule] = TIMETABLE) -> None:
        self._timetable = timetable
        self._triggers = {s.name: trigger_of(s.cron) for s in timetable}
        self._looked_at: datetime | None = None
        self._alarm = threading.Event()

    def run(self, conn: Connection, stopped: threading.Event) -> None:
        """Look at every alarm and every sweep. Raises one of AWAY when Postgres goes away."""
        with conn.transaction():
            announce(conn, self._timetable)
        alarms = self._set_alarms()
        try:
            while not stopped.is_set():
                self._alarm.clear()
                self.look(conn)
                self._alarm.wait(SWEEP_S)
        finally:
            alarms.shutdown(wait=False)

    def _set_alarms(self) -> BackgroundScheduler:
        """A late alarm still rings, and several late ones ring once: it only wakes us."""
        alarms = BackgroundScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True}
        )
        for name, trigger in self._triggers.items():
            alarms.add_job(self._alarm.set, trigger, id=name)
        alarms.start()
        return alarms

    def look(self, conn: Connection) -> None:
        """Fire what is due."""
        now, states = self._read(conn)
        for schedule in self._timetable:
            state, trigger = states[schedule.name], self._triggers[schedule.name]
            for fire_at in due_ticks(trigger, state, looked_at=self._looked_at, now=now):
                fire(conn, schedule, fire_at=fire_at)
        self._looked_at = now

    def _read(self, conn: Connection) -> tuple[datetime, dict[str, State]]:
        with conn.transaction():
            now, states = schedules.read_clock(conn), schedules.list_states(conn)
            if not states.keys() >= self._triggers.keys():
                announce(conn, self._timetable)
                states = schedules.list_states(conn)
            if any(state.begins_at > now for state in states.values()):
                schedules.begin_now(conn)
            return now, states


def announce(conn: Connection, timetable: Sequence[Schedule]) -> None:
    """Write the timetable into the database. What is new begins with its next time."""
    for schedule in timetable:
        schedules.upsert_schedule(
            conn,
            schedule.name,
            kind=kind_of(schedule.payload).name,
            args=encode(schedule.payload),
            unique_key=schedule.unique_key,
            cron=schedule.cron,
        )
    schedules.retire_others(conn, [schedule.name for schedule in timetable])


def fire(conn: Connection, schedule: Schedule, *, fire_at: datetime) -> int | None:
    """The tick and its job, or neither; None when the tick was fired or the schedule is paused."""
    with conn.transaction():
        schedules.limit_idling(conn)
        if not schedules.claim_tick(conn, schedule.name, fire_at=fire_at):
            return None
        spread = timedelta(seconds=schedule.jitter_s * random.random())  # noqa: S311 - no secret
        job_id = enqueue(
            conn, schedule.payload, unique_key=schedule.unique_key, run_at=fire_at + spread
        )
        schedules.name_job(conn, schedule.name, fire_at=fire_at, job_id=job_id)
    log.info("schedule %s fired for %s: job %d", schedule.name, f"{fire_at:%F %T}", job_id)
    return job_id


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of `avivro schedules list`."""

    name: str
    kind: str
    cron: str
    last: datetime | None
    next: datetime | None
    paused: bool


def list_entries(conn: Connection, timetable: Sequence[Schedule] = TIMETABLE) -> list[Entry]:
    """Every schedule of the code, whether a scheduler has seen it yet or not."""
    now, states = schedules.read_clock(conn), schedules.list_states(conn)
    return [entry(schedule, states.get(schedule.name), now) for schedule in timetable]


def entry(schedule: Schedule, state: State | None, now: datetime) -> Entry:
    paused = state is not None and state.paused_at is not None
    return Entry(
        name=schedule.name,
        kind=kind_of(schedule.payload).name,
        cron=schedule.cron,
        last=None if state is None else state.last_at,
        next=None if paused else next_tick(trigger_of(schedule.cron), now),
        paused=paused,
    )


def fire_by_hand(conn: Connection, name: str) -> int:
    """Fire now, paused or not, and leave the timetable as it is; the job's id."""
    schedule = find(name)
    fire_at = schedules.claim_tick_by_hand(conn, name)
    job_id = enqueue(conn, schedule.payload, unique_key=schedule.unique_key)
    schedules.name_job(conn, name, fire_at=fire_at, job_id=job_id)
    return job_id


def pause(conn: Connection, name: str) -> None:
    announce(conn, TIMETABLE)
    schedules.pause(conn, name)


def resume(conn: Connection, name: str) -> None:
    announce(conn, TIMETABLE)
    schedules.resume(conn, name)


def names() -> list[str]:
    return [schedule.name for schedule in TIMETABLE]


def find(name: str) -> Schedule:
    return next(schedule for schedule in TIMETABLE if schedule.name == name)
