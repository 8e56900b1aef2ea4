"""At which times a schedule fires, and what becomes of each. Pure, and in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from db.schedules import State

Trigger = Any
Missed = Literal["skip", "once", "all"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERY = re.compile(r"every ([1-9][0-9]{0,7}) s")
# Of what begins with a letter APScheduler reads this much, and is silent about the rest.
NAMES = re.compile(r"last|[a-z]{3}(-[a-z]{3})?", re.IGNORECASE)
CRON_CHARS_MAX = 200
INSTANT = timedelta(microseconds=1)
LEAP_YEAR = [datetime(1972, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(366)]
# A tick that is found within this time is a little late; after it, it was missed.
GAP_S_MAX = 10.0
# Of one schedule after one absence: two weeks of minutes.
NOTED_TICKS_MAX = 20_000
MADE_UP_TICKS_MAX = 100
# The last times before now are looked for ever further back, so that years away cost no loop over
# years of seconds.
LOOK_BACK = timedelta(minutes=1)
FURTHER_MAX = 4.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What is made up of the ticks that were missed in the last `catch_up_s`.

    `skip`: nothing; `once`: the last one, unless the next has come already; `all`: each, up to
    MADE_UP_TICKS_MAX.
    """

    missed: Missed
    catch_up_s: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What to do now, each oldest first, in this order; `next_at` is open still after that."""

    skipped: list[datetime]
    made_up: list[datetime]
    fired: list[datetime]
    next_at: datetime | None
    # Older ones that are too many to be noted.
    forgot: bool = False


def settle(trigger: Trigger, state: State, policy: Policy, *, now: datetime) -> Settlement:
    """What becomes of the ticks up to now that nobody fired or skipped. Not for paused ones."""
    after = settled_until(state)
    found = last_ticks(trigger, after=after, until=now, most=NOTED_TICKS_MAX)
    late_at = now - timedelta(seconds=GAP_S_MAX)
    missed = [tick for tick in found if tick < late_at]
    fired = found[len(missed) :]
    made_up = choose(missed, policy, now=now, goes_on=bool(fired))
    return Settlement(
        skipped=missed[: len(missed) - len(made_up)],
        made_up=made_up,
        fired=fired,
        next_at=next_tick(trigger, now),
        forgot=len(found) == NOTED_TICKS_MAX and next_tick(trigger, after) != found[0],
    )


def settled_until(state: State) -> datetime:
    return max(state.begins_at, state.settled_at or EPOCH)


def choose(
    missed: list[datetime], policy: Policy, *, now: datetime, goes_on: bool
) -> list[datetime]:
    """Which of the missed ones are made up: always the last of them."""
    if policy.missed == "skip" or (policy.missed == "once" and goes_on):
        return []
    since = now - timedelta(seconds=policy.catch_up_s)
    most = 1 if policy.missed == "once" else MADE_UP_TICKS_MAX
    return [tick for tick in missed[-most:] if tick >= since]


def late_s(trigger: Trigger, state: State, *, now: datetime) -> float:
    """For how long the oldest tick that is due has waited; 0 where none does, or by a pause."""
    if state.paused_at is not None:
        return 0.0
    due_at = next_tick(trigger, settled_until(state))
    return 0.0 if due_at is None else max(0.0, (now - due_at).total_seconds())


def last_ticks(trigger: Trigger, *, after: datetime, until: datetime, most: int) -> list[datetime]:
    """The last of all `ticks`, oldest first."""
    back = LOOK_BACK
    while until - after > back:
        if len(found := ticks(trigger, after=until - back, until=until)) >= most:
            return found[-most:]
        # As far as there should be enough, and a little more.
        back *= min(FURTHER_MAX, max(1.1 * most / (len(found) or 1), 1.1))
    return ticks(trigger, after=after, until=until)[-most:]


def ticks(
    trigger: Trigger, *, after: datetime, until: datetime, most: int | None = None
) -> list[datetime]:
    """Every time after `after`, up to and with `until`, or the first `most` of them."""
    found: list[datetime] = []
    while (tick := next_tick(trigger, found[-1] if found else after)) is not None and tick <= until:
        found.append(tick)
        if len(found) == most:
            break
    return found


def next_tick(trigger: Trigger, after: datetime) -> datetime | None:
    """The first time after `after`; None when there will be none."""
    tick: datetime | None = trigger.get_next_fire_time(None, after.astimezone(UTC) + INSTANT)
    return tick


@lru_cache(maxsize=256)
def trigger_of(cron: str) -> Trigger:
    """Raises ValueError for what cannot be understood, or would be understood differently.

    An interval is counted from 1970, so that all schedulers mean the same times.
    """
    if len(cron) > CRON_CHARS_MAX or not cron.isascii():
        raise ValueError(f"a schedule has at most {CRON_CHARS_MAX} characters, all of them ASCII")
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
    refuse_half_read(cron)
    if "/" in weekday:
        raise ValueError(f'schedule "{cron}": name the weekdays, as mon,wed,fri; steps differ')
    return cron_trigger(cron)


def refuse_half_read(cron: str) -> None:
    for part in cron.replace(",", " ").split():
        if part[0].isalpha() and not NAMES.fullmatch(part):
            raise ValueError(f'schedule "{cron}": "{part}" is no name such as mon or jan-mar')


def cron_trigger(cron: str) -> Trigger:
    try:
        trigger = CronTrigger.from_crontab(cron, timezone=UTC)
    except ValueError as error:
        raise ValueError(f'schedule "{cron}": {error}') from error
    # APScheduler itself would look through each year up to 9999 for it: seconds of processor.
    if not any(comes_on(trigger, day) for day in LEAP_YEAR):
        raise ValueError(f'schedule "{cron}": there is no such day, it would never fire')
    return trigger


def comes_on(trigger: Trigger, day: datetime) -> bool:
    """By day and month; a weekday comes with each day of a month sooner or later."""
    fields = [field for field in trigger.fields if field.name in ("month", "day")]
    return all(field.get_next_value(day) == field.get_value(day) for field in fields)
