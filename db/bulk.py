"""Statements that change many jobs for an operator; see bulk.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db.jobs import ERRORS_KEPT, plan_by_key
from db.pool import Connection
from db.statements import load

SQL = load("bulk")


@dataclass(frozen=True, slots=True)
class Judged:
    """Jobs of which the same holds, of all that decides whether an action changes them.

    `tenants` has one for each of `ids`.
    """

    state: str
    queue: str
    kind: str
    blocked: bool
    waited: bool
    unfit: bool
    twin: bool
    later: bool
    ids: Sequence[int]
    tenants: Sequence[str | None]


def judge_jobs(conn: Connection, ids: Sequence[int], *, fit: bool) -> list[Judged]:
    """Unknown ids are left out. `fit` looks at the arguments, too."""
    conn.execute(SQL.plan_to_judge)
    # As one text: for 10,000 ids half of the time that a list takes.
    values = {"ids": f"{{{','.join(map(str, ids))}}}", "fit": fit}
    return [Judged(*row) for row in conn.execute(SQL.judge_jobs, values).fetchall()]


def count_waiting(conn: Connection, queues: Sequence[str], *, rows_max: int) -> dict[str, int]:
    values = {"queues": list(queues), "rows_max": rows_max}
    return dict(conn.execute(SQL.count_waiting, values).fetchall())


def list_held_kinds(conn: Connection, kinds: Sequence[str]) -> list[str]:
    return [row[0] for row in conn.execute(SQL.list_held_kinds, {"kinds": list(kinds)}).fetchall()]


def begin_part(conn: Connection, *, run: UUID, part: int) -> bool:
    """False when this part of the run was done before. Waits for one that is under way."""
    return conn.execute(SQL.begin_part, {"run": run, "part": part}).fetchone() is not None


def end_part(conn: Connection, *, run: UUID, part: int, changed: int) -> None:
    conn.execute(SQL.end_part, {"run": run, "part": part, "changed": changed})


def sum_parts(conn: Connection, *, run: UUID) -> int:
    """How many jobs the run changed so far."""
    row = conn.execute(SQL.sum_parts, {"run": run}).fetchone()
    assert row is not None
    return int(row[0])


def forget_parts(conn: Connection) -> None:
    conn.execute(SQL.forget_parts)


def lock_jobs(conn: Connection, ids: Sequence[int]) -> None:
    """Whoever finishes or cancels these waits until this transaction ends."""
    plan_by_key(conn)
    conn.execute(SQL.lock_jobs, {"ids": list(ids)})


def spread_jobs(conn: Connection, delays_s: dict[int, float]) -> None:
    """Let available jobs begin so many seconds from now; those with 0 stay as they are."""
    plan_by_key(conn)
    values = {"ids": list(delays_s), "delays_s": list(delays_s.values())}
    conn.execute(SQL.spread_jobs, values)


def discard_jobs(conn: Connection, ids: Sequence[int], *, reason: str) -> list[int]:
    """Give up on waiting jobs; the ids that were discarded."""
    plan_by_key(conn)
    values = {"ids": list(ids), "reason": reason, "errors_kept": ERRORS_KEPT}
    return [row[0] for row in conn.execute(SQL.discard_jobs, values).fetchall()]


def set_priority(conn: Connection, ids: Sequence[int], *, priority: int) -> list[int]:
    """Of waiting jobs; the ids whose priority was another one."""
    plan_by_key(conn)
    values = {"ids": list(ids), "priority": priority}
    return [row[0] for row in conn.execute(SQL.set_priority, values).fetchall()]


def replay_jobs(conn: Connection, delays_s: dict[int, float]) -> dict[int, int]:
    """Enqueue finished jobs once more, as new ones after so many seconds; the new id by the old.

    Left out are those with an equal job that is unfinished, or newer and among these.
    """
    plan_by_key(conn)
    values = {"ids": list(delays_s), "delays_s": list(delays_s.values())}
    return dict(conn.execute(SQL.replay_jobs, values).fetchall())
