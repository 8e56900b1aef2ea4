"""At which times a schedule fires, and which of them are due. Pure, and in UTC."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from db.schedules import State

Trigger = Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERY = re.compile(r"every ([1-9]\d{0,7}) s")
INSTANT = timedelta(microseconds=1)
# A scheduler that looked within this time was there all along: nothing was missed.
GAP_S_MAX = 10.0
# The last time before now is looked for ever further back, so that a year away costs no loop
# over a year of seconds.
LOOK_BACK = [timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=31)]


def due_ticks(
    trigger: Trigger, state: State, *, looked_at: datetime | None, now: datetime
) -> list[datetime]:
    """The times to fire now, oldest first. `looked_at` is when this scheduler last looked.

    What it missed while it was away, or while the clock jumped, it fires once, for the last time.
    """
    if state.paused_at is not None:
        return []
    if looked_at is not None and timedelta() <= now - looked_at <= timedelta(seconds=GAP_S_MAX):
        return ticks(trigger, after=max(state.begins_at, looked_at), until=now)
    return last_tick(trigger, after=max(state.begins_at, state.fired_at or EPOCH), until=now)


def last_tick(trigger: Trigger, *, after: datetime, until: datetime) -> list[datetime]:
    """The last of all `ticks`; empty when there is none."""
    for back in LOOK_BACK:
        if after >= until - back:
            break
        if found := ticks(trigger, after=until - back, until=until):
            return found[-1:]
    return ticks(trigger, after=after, until=until)[-1:]


def ticks(trigger: Trigger, *, after: datetime, until: datetime) -> list[datetime]:
    """Every time after `after`, up to and with `until`."""
    found: list[datetime] = []
    while (tick := next_tick(trigger, found[-1] if found else after)) is not None and tick <= until:
        found.append(tick)
    return found


def next_tick(trigger: Trigger, after: datetime) -> datetime | None:
    """The first time after `after`; None when there will be none."""
    tick: datetime | None = trigger.get_next_fire_time(None, after.astimezone(UTC) + INSTANT)
    return tick


def trigger_of(cron: str) -> Trigger:
    """Raises ValueError for what cannot be understood, or would be understood differently.

    An interval is counted from 1970, so that all schedulers mean the same times.
    """
    if every := EVERY.fullmatch(cron):
        return IntervalTrigger(seconds=int(every[1]), start_date=EPOCH, timezone=UTC)
    fields = cron.split()
    if len(fields) != 5:
        raise ValueError(f'schedule "{cron}": five fields are needed, or "every 30 s"')
    _, _, day, _, weekday = fields
    if re.search(r"\d", weekday.partition("/")[0]):
        raise ValueError(f'schedule "{cron}": write the weekday as mon to sun, its numbers differ')
    if day != "*" and weekday != "*":
        raise ValueError(f'schedule "{cron}": give a day or a weekday, together they are ambiguous')
    return CronTrigger.from_crontab(cron, timezone=UTC)
