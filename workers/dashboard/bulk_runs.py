"""Carries out what a preview froze: in parts, each a short transaction with its audit entry.

A part that was done is known by the order's key, so a form that is sent twice, or sent again after
trouble, does every part once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid5

import psycopg
from starlette.requests import Request

from db import bulk, dashboard, jobs
from db.pool import Connection
from workers.dashboard.bulk import Action, pack, parts_of, plan_delays
from workers.dashboard.forms import Refused
from workers.dashboard.site import WRITE_S_MAX, Act, Site

Id = TypeVar("Id")

TRIES = 4
# Shorter than Postgres waits before it looks for a deadlock: rather this one gives way.
LOCK_S_MAX = 0.5
IDS_NOTED_MAX = 20
CROSSED = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,
)


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator confirmed. `filter` is the text that chose, empty for chosen rows."""

    run: UUID
    action: Action
    ids: tuple[int, ...]
    filter: str
    why: str
    per_minute: int = 0
    priority: int = 0

    @property
    def key(self) -> UUID:
        """Equal for what was sent twice, and for nothing else."""
        # A job's page holds a form for each action, and Back brings all of them again.
        return uuid5(self.run, f"{self.action.name} {self.priority} {pack(self.ids)}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`again` is true where all parts had been done before."""

    changed: int
    again: bool


class DoneBeforeError(Exception):
    """The part is in the table already: nothing is to be changed or noted."""


@dataclass(frozen=True, slots=True)
class Task(Generic[Id]):
    """What is done to many rows; `change` does a part and answers how many it changed.

    `key` is equal for what was sent twice, and for nothing else; `rows` names what they are.
    """

    key: UUID
    audit: str
    target: str
    why: str
    rows: str
    parts: Sequence[Sequence[Id]]
    change: Callable[[Act, Sequence[Id]], int]


def carry_out(site: Site, request: Request, order: Order) -> Outcome:
    """Raises Refused when others held the jobs for too long; the parts done until then stay."""
    delays_s = plan_delays(order.ids, order.per_minute)

    def change_part(act: Act, ids: Sequence[int]) -> int:
        changed = change(act.conn, order, {each: delays_s[each] for each in ids})
        act.details.update(describe(order, ids, changed))
        return len(changed)

    return do_parts(
        site,
        request,
        Task(
            order.key,
            order.action.audit,
            target_of(order),
            order.why,
            "jobs",
            parts_of(order.ids),
            change_part,
        ),
    )


def do_parts(site: Site, request: Request, task: Task[Id]) -> Outcome:
    """Raises Refused when others held the rows for too long; the parts done until then stay."""
    fresh = [do_part(site, request, task, number) for number in range(len(task.parts))]
    with site.read() as conn:
        return Outcome(bulk.sum_parts(conn, run=task.key), again=not any(fresh))


def do_part(site: Site, request: Request, task: Task[Id], number: int) -> bool:
    """False when it had been done before."""
    for _ in range(TRIES):
        try:
            with site.act(request, task.audit, target=task.target, why=task.why) as act:
                dashboard.limit_writing(act.conn, seconds=WRITE_S_MAX, lock_s=LOCK_S_MAX)
                if not bulk.begin_part(act.conn, run=task.key, part=number):
                    raise DoneBeforeError
                changed = task.change(act, task.parts[number])
                bulk.end_part(act.conn, run=task.key, part=number, changed=changed)
                if number == 0:
                    bulk.forget_parts(act.conn)
                act.details["part"] = f"{number + 1} of {len(task.parts)}"
        except DoneBeforeError:
            return False
        except CROSSED:
            continue
        return True
    raise Refused(
        f"Others hold some of these {task.rows}. {number} of {len(task.parts)} parts are done and"
        " noted: send the form again to do the rest.",
        status=503,
    )


def change(conn: Connection, order: Order, delays_s: dict[int, float]) -> list[int]:
    """The ids that were changed; those that changed meanwhile are left as they are."""
    ids = sorted(delays_s)
    match order.action.name:
        case "retry":
            bulk.lock_jobs(conn, ids)
            put_back = jobs.retry_jobs(conn, ids)
            if order.per_minute:
                bulk.spread_jobs(conn, {each: delays_s[each] for each in sorted(put_back)})
            return put_back
        case "cancel":
            return list(
                jobs.cancel_jobs(conn, ids, reason=f"Cancelled by an operator: {order.why}")
            )
        case "discard":
            return bulk.discard_jobs(conn, ids, reason=f"Discarded by an operator: {order.why}")
        case "priority":
            return bulk.set_priority(conn, ids, priority=order.priority)
        case "replay":
            return list(bulk.replay_jobs(conn, delays_s))
        case other:
            raise AssertionError(other)


def target_of(order: Order) -> str:
    if order.filter:
        return f"jobs {order.filter}"
    return f"job {order.ids[0]}" if len(order.ids) == 1 else f"{len(order.ids)} chosen jobs"


def describe(order: Order, ids: Sequence[int], changed: Sequence[int]) -> dict[str, Any]:
    """For the audit log: counts and ids, never arguments."""
    told: dict[str, Any] = {
        "run": str(order.run),
        "asked": len(ids),
        "changed": len(changed),
        "first_id": min(ids),
        "last_id": max(ids),
    }
    if order.filter:
        told["filter"] = order.filter
    if len(ids) <= IDS_NOTED_MAX:
        told["ids"] = sorted(changed)
    if order.action.paced and order.per_minute:
        told["per_minute"] = order.per_minute
    if order.action.name == "priority":
        told["priority"] = order.priority
    return told
