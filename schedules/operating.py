"""What operators see of the timetable, and what they change; all of it is kept in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from db import schedules
from db.pool import Connection
from db.schedules import State
from schedules.clock import announce, cron_in_force
from schedules.times import Missed, late_s, next_tick, ticks, trigger_of
from schedules.timetable import TIMETABLE, Schedule
from workers.jobs import enqueue, kind_of


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of `avivro schedules list`.

    `cron` is in force, `cron_default` is the timetable's own. `late_s` is the age of the oldest
    tick that is due and was neither fired nor skipped; `missed_1d` and `made_up_1d` count those of
    the last day that came while no scheduler looked.
    """

    name: str
    kind: str
    cron: str
    cron_default: str
    last: datetime | None
    next: datetime | None
    late_s: float
    paused: bool
    missed: Missed
    catch_up_s: int
    jitter_s: float
    missed_1d: int
    made_up_1d: int


def list_entries(conn: Connection, timetable: Sequence[Schedule] | None = None) -> list[Entry]:
    """Every schedule of the code, whether a scheduler has seen it yet or not."""
    now = schedules.read_clock(conn)
    states = schedules.list_states(conn, now=now)
    missed = schedules.count_missed(conn)
    return [
        entry(schedule, states.get(schedule.name), missed.get(schedule.name, (0, 0)), now=now)
        for schedule in (TIMETABLE if timetable is None else timetable)
    ]


def entry(
    schedule: Schedule, state: State | None, missed: tuple[int, int], *, now: datetime
) -> Entry:
    paused = state is not None and state.paused_at is not None
    cron = cron_in_force(schedule, state)
    trigger = trigger_of(cron)
    return Entry(
        name=schedule.name,
        kind=kind_of(schedule.payload).name,
        cron=cron,
        cron_default=schedule.cron,
        last=None if state is None else state.last_at,
        next=None if paused else next_tick(trigger, now),
        late_s=0.0 if state is None else late_s(trigger, state, now=now),
        paused=paused,
        missed=schedule.missed,
        catch_up_s=schedule.catch_up_s,
        jitter_s=schedule.jitter_s,
        missed_1d=missed[0],
        made_up_1d=missed[1],
    )


def planned(cron: str, *, after: datetime, until: datetime, most: int) -> list[datetime]:
    """Raises ValueError for what cannot be understood."""
    return ticks(trigger_of(cron), after=after, until=until, most=most)


def fire_by_hand(conn: Connection, name: str) -> int:
    """Fire now, paused or not, and leave the timetable as it is; the job's id.

    One of its jobs that waits, for its jitter or another try, waits no longer; one that runs is it.
    """
    schedule = find(name)
    fire_at = schedules.claim_tick_by_hand(conn, name)
    job_id = enqueue(conn, schedule.payload, unique_key=schedule.unique_key, on_conflict="replace")
    schedules.name_job(conn, name, fire_at=fire_at, job_id=job_id)
    return job_id


def pause(conn: Connection, name: str, *, now: datetime | None = None) -> bool:
    """Whether that changed anything; as with the next ones."""
    now, _ = begin(conn, now)
    return schedules.pause(conn, find(name).name, now=now)


def resume(conn: Connection, name: str, *, now: datetime | None = None) -> bool:
    now, states = begin(conn, now)
    trigger = trigger_of(cron_in_force(find(name), states[name]))
    return schedules.resume(conn, name, now=now, next_at=next_tick(trigger, now))


def edit(conn: Connection, name: str, cron: str, *, now: datetime | None = None) -> bool:
    """Other times from now on, whatever the timetable says; all schedulers take them in seconds.

    Raises ValueError for what cannot be understood.
    """
    cron = " ".join(cron.split())
    trigger = trigger_of(cron)
    now, _ = begin(conn, now)
    next_at = next_tick(trigger, now)
    return schedules.change_cron(conn, find(name).name, cron, now=now, next_at=next_at)


def reset(conn: Connection, name: str, *, now: datetime | None = None) -> bool:
    """The timetable's own times again."""
    now, _ = begin(conn, now)
    next_at = next_tick(trigger_of(find(name).cron), now)
    return schedules.change_cron(conn, name, None, now=now, next_at=next_at)


def begin(conn: Connection, now: datetime | None) -> tuple[datetime, dict[str, State]]:
    """The time, and the states; those that no scheduler has seen yet are written first."""
    now = now or schedules.read_clock(conn)
    states = schedules.list_states(conn, now=now)
    if not states.keys() >= set(names()):
        announce(conn, TIMETABLE, now=now)
        states = schedules.list_states(conn, now=now)
    return now, states


def names() -> list[str]:
    return [schedule.name for schedule in TIMETABLE]


def find(name: str) -> Schedule:
    """Raises LookupError for one that is not in the timetable."""
    for schedule in TIMETABLE:
        if schedule.name == name:
            return schedule
    raise LookupError(f"there is no schedule {name}; known are {', '.join(names())}")
