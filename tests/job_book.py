"""The small model beside worker.jobs: who holds which attempt, and what must hold at any time."""

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from psycopg.rows import class_row

from db.jobs import Claimed, Ticket
from db.pool import Connection

FINISHED = frozenset({"completed", "discarded", "cancelled"})
WAITING = frozenset({"scheduled", "available", "dispatched", "retryable"})
STATES = FINISHED | WAITING | {"running"}
CAP = 1

KINDS = """
INSERT INTO worker.kinds (kind, queue, args, max_attempts, unique_by, rerun, limit_by, cap) VALUES
    ('brief', 'default', '{}', 1, NULL, false, NULL, NULL),
    ('again', 'knowledge', '{"name": "text"}', 2, 'name', true, NULL, NULL),
    ('capped', 'default', '{"name": "text"}', 3, NULL, false, 'name', 1)
"""
CLEAR = """
DELETE FROM worker.jobs;
DELETE FROM worker.waits;
DELETE FROM worker.ends;
DELETE FROM worker.pauses;
DELETE FROM worker.processes;
"""
ROWS = """
SELECT id, kind, queue, tenant, lane, state, unique_key, rerun, blocked, attempt, max_attempts,
       dispatch_seq, worker_id, cancel_requested_at IS NOT NULL AS asked,
       finished_at IS NOT NULL AS has_end
FROM worker.jobs ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What a property may be about."""

    id: int
    kind: str
    queue: str
    tenant: UUID | None
    lane: str
    state: str
    unique_key: str | None
    rerun: bool
    blocked: bool
    attempt: int
    max_attempts: int
    dispatch_seq: int
    worker_id: UUID | None
    asked: bool
    has_end: bool

    @property
    def scopes(self) -> set[tuple[str, str]]:
        return {("queue", self.queue), ("kind", self.kind), ("tenant", str(self.tenant))}


def read_rows(conn: Connection) -> dict[int, Row]:
    rows = conn.cursor(row_factory=class_row(Row)).execute(ROWS.encode()).fetchall()
    return {row.id: row for row in rows}


@dataclass
class Book:
    """What happened so far, as far as the callers of the statements were told."""

    rows: dict[int, Row] = field(default_factory=dict)
    claims: list[Claimed] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    held: dict[int, tuple[int, UUID]] = field(default_factory=dict)
    ended: set[tuple[int, int]] = field(default_factory=set)
    cancelled: set[int] = field(default_factory=set)
    again: set[int] = field(default_factory=set)
    paused: set[tuple[str, str]] = field(default_factory=set)
    waits: dict[int, tuple[int, ...]] = field(default_factory=dict)
    optimists: set[int] = field(default_factory=set)
    dead: set[UUID] = field(default_factory=set)

    def is_valid(self, ticket: Ticket) -> bool:
        """Whether the job stands dispatched, and this ticket is of that dispatch."""
        row = self.rows[ticket.job_id]
        return (row.state, row.dispatch_seq) == ("dispatched", ticket.seq)

    def holds(self, job_id: int, attempt: int) -> bool:
        return job_id in self.held and self.held[job_id][0] == attempt

    def twin(self, kind: str, key: str | None) -> Row | None:
        """The unfinished job that has this unique key."""
        mine = (row for row in self.rows.values() if (row.kind, row.unique_key) == (kind, key))
        return next((r for r in mine if key is not None and r.state not in FINISHED), None)

    def note_claim(self, claim: Claimed, worker_id: UUID) -> None:
        assert claim.id not in self.held, f"job {claim.id} is claimed by two"
        assert claim.attempt == self.rows[claim.id].attempt + 1
        assert not self.rows[claim.id].scopes & self.paused, f"job {claim.id} is paused"
        self.held[claim.id] = (claim.attempt, worker_id)
        self.claims.append(claim)

    def note_finish(self, job_id: int, attempt: int, new_state: str) -> None:
        """An accepted finish of the attempt."""
        assert (job_id, attempt) not in self.ended, f"job {job_id}: {attempt} finished twice"
        assert self.held.pop(job_id, (0,))[0] == attempt, f"job {job_id}: {attempt} was lost"
        self.ended.add((job_id, attempt))
        if new_state == "cancelled":
            self.cancelled.add(job_id)
        if new_state in FINISHED | {"available"}:
            self.again.discard(job_id)

    def note_rescue(self, job_id: int, attempt: int, new_state: str) -> None:
        held = self.held.pop(job_id, None)
        assert held is not None, f"job {job_id} was rescued and nobody held it"
        assert held[0] == attempt, f"job {job_id} was rescued from another attempt"
        assert held[1] in self.dead, f"job {job_id} was rescued from a live worker"
        if new_state == "cancelled":
            self.cancelled.add(job_id)

    def check(self, rows: dict[int, Row]) -> None:
        """Compare the table with the book; it is the new page of the book then."""
        assert rows.keys() >= self.rows.keys(), "a job is lost"
        for row in rows.values():
            self._check_row(row)
        self._check_together(rows)
        self.rows = rows

    def _check_row(self, row: Row) -> None:
        before = self.rows.get(row.id, row)
        assert row.state in STATES
        assert before.attempt <= row.attempt <= row.max_attempts, f"attempts: {row}"
        assert row.has_end == (row.state in FINISHED), f"finished_at: {row}"
        assert not (row.state in FINISHED and row.rerun), f"finished and to be run again: {row}"
        assert (row.state == "running") == (row.id in self.held), f"running: {row}"
        if row.state == "running":
            assert self.held[row.id] == (row.attempt, row.worker_id), f"the holder: {row}"
        assert row.id not in self.cancelled or row.state == "cancelled", f"was cancelled: {row}"
        assert not (row.state == "dispatched" and row.scopes & self.paused), f"paused: {row}"
        assert not row.blocked or row.state in ("scheduled", "cancelled"), f"blocked: {row}"

    def _check_together(self, rows: dict[int, Row]) -> None:
        unfinished = [row for row in rows.values() if row.state not in FINISHED]
        keys = Counter((row.kind, row.unique_key) for row in unfinished if row.unique_key)
        assert all(number == 1 for number in keys.values()), f"twins: {keys}"
        flying = Counter(r.lane for r in unfinished if r.state in ("dispatched", "running"))
        assert all(n <= CAP for lane, n in flying.items() if lane.startswith("capped")), flying
        for waiter, members in self.waits.items():
            if self.rows.get(waiter, rows[waiter]).blocked and not rows[waiter].blocked:
                self._check_let_go(rows[waiter], [rows[member] for member in members])

    def _check_let_go(self, waiter: Row, members: list[Row]) -> None:
        assert all(row.state in FINISHED for row in members), f"{waiter} waits for {members}"
        failed = any(row.state != "completed" for row in members)
        fails = failed and waiter.id not in self.optimists
        assert (waiter.state == "cancelled") == fails, f"{waiter} waited for {members}"
