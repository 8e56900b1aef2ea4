"""Filters in Postgres find what the same words mean in Python, over random jobs."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from db import job_list
from db.job_list import Place
from db.pool import Connection
from workers.dashboard import job_search
from workers.dashboard.filter_values import STATES
from workers.dashboard.filtering import Known, Term, parse
from workers.dashboard.job_search import Search

KINDS = ("index_source", "probe", "send_email")
QUEUES = ("default", "email", "knowledge")
KNOWN = Known(KINDS, QUEUES)
TENANTS = [UUID(int=number) for number in range(1, 4)]
WORDS = (
    "Timeout after 5 s",
    "100% of _x_ \\ 'quoted' \"so\"",
    "rate LIMIT",
    "",
    "\u00fcber \u202e x",
)
GROUPS = ("0123456789ab", "ffffffffffff")
ARGS: tuple[dict[str, Any], ...] = (
    {}, {"n": 4}, {"n": "4"}, {"n": 4.5, "on": True}, {"a": {"b": [1, "x"]}}, {"n": None},
    {"source_id": str(TENANTS[0])}, {"a.b": "dot"}, {"n": "it's, \"so\""},
)  # fmt: skip
JOBS = 160
FILTERS = 250
UNFINISHED = ("scheduled", "available", "dispatched", "running", "retryable")

INSERT = """
INSERT INTO worker.jobs (kind, queue, tenant, priority, state, args, unique_key, run_at, attempt,
    max_attempts, errors, error_group, worker_id, created_at, started_at, finished_at)
VALUES (%(kind)s, %(queue)s, %(tenant)s, %(priority)s, %(state)s, %(args)s, %(unique_key)s,
    %(run_at)s, %(attempt)s, 25, %(errors)s, %(error_group)s, %(worker_id)s, %(created_at)s,
    %(started_at)s, %(finished_at)s)
"""


def make_job(rng: random.Random, number: int, now: datetime) -> dict[str, Any]:
    state = rng.choice(STATES)
    created_at = now - timedelta(seconds=rng.choice([1, 59, 300, 3_500, 4_000, 90_000]))
    started_at = created_at + timedelta(seconds=rng.choice([0, 1, 40]))
    started = rng.random() < 0.8 or state in ("running", "completed")
    finished = state in ("completed", "discarded", "cancelled")
    errors = [{"error": rng.choice(WORDS), "trace": None}] if rng.random() < 0.5 else []
    return {
        "kind": rng.choice(KINDS),
        "queue": rng.choice(QUEUES),
        "tenant": rng.choice([*TENANTS, None]),
        "priority": rng.choice([-3, 0, 2]),
        "state": state,
        "args": Jsonb(rng.choice(ARGS)),
        "unique_key": rng.choice([None, f"key {number}"]),
        "run_at": created_at + timedelta(seconds=rng.choice([0, 600, 7_200])),
        "attempt": rng.choice([0, 1, 3]),
        "errors": Jsonb(errors),
        "error_group": rng.choice([None, *GROUPS]),
        "worker_id": rng.choice([None, TENANTS[0]]),
        "created_at": created_at,
        "started_at": started_at if started else None,
        "finished_at": started_at + timedelta(seconds=rng.choice([0, 30, 200]))
        if finished
        else None,
    }


TERMS = (
    lambda rng: f"kind:{pick(rng, KINDS)}",
    lambda rng: f"queue:{pick(rng, QUEUES)}",
    lambda rng: f"state:{pick(rng, STATES)}",
    lambda rng: f"state:{pick(rng, UNFINISHED)}",
    lambda rng: f"tenant:{rng.choice([*TENANTS, '*'])}",
    lambda rng: f"worker:{rng.choice([TENANTS[0], TENANTS[1], '*'])}",
    lambda rng: rng.choice(["error:timeout", 'error:"% of _x_ \\\\"', "error:*", 'error:"\'quoted"',
                            "error:_", "error:%", "limit,after", 'error:"\u202e"']),
    lambda rng: f"group:{rng.choice([*GROUPS, '*', GROUPS[0] + ',' + GROUPS[1]])}",
    lambda rng: rng.choice(["args.n:4", "args.n:4.50", "args.n:*", "args.on:true", "args.a.b.1:x",
                            'args."a.b":dot', "args.a.b:*", "args.n:null",
                            'args.n:"it\'s, \\"so\\""',
                            f"args.source_id:{TENANTS[0]}", 'args.n:""']),
    lambda rng: f"about:{TENANTS[0]}",
    lambda rng: rng.choice(["unique:*", 'unique:"key 5"', 'unique:"key 5","key 9"']),
    lambda rng: f"id{rng.choice([':5,9,11', '>20', '>=20', '<30', '<=30'])}",
    lambda rng: f"attempt{rng.choice([':1,3', '>=3', '<1', '>1'])}",
    lambda rng: f"priority{rng.choice([':-3', '<0', '>=0'])}",
    lambda rng: f"{rng.choice(['age', 'waited', 'ran'])}{sign(rng)}"
                f"{rng.choice(['1s', '30s', '5m', '1h'])}",
    lambda rng: f"{rng.choice(['created', 'finished', 'discarded', 'run_at'])}{sign(rng)}"
                f"{rng.choice(['5m', '1h', '1d', '2026-01-01', '2100-01-01T00:00'])}",
    lambda rng: f"{rng.choice(['created', 'finished'])}:{datetime.now(UTC).date()},2020-02-02",
)  # fmt: skip


def pick(rng: random.Random, words: tuple[str, ...]) -> str:
    return ",".join(rng.sample(words, rng.choice([1, 1, 2])))


def sign(rng: random.Random) -> str:
    return rng.choice([">", ">=", "<", "<="])


def matches(job: dict[str, Any], term: Term, now: datetime) -> bool:
    """What the word means, told once more without any SQL."""
    return holds(job, term, now) != term.negated


def holds(job: dict[str, Any], term: Term, now: datetime) -> bool:
    error = job["errors"][-1]["error"] if job["errors"] else None
    if term.operator == "*":
        return has(job, term)
    match term.field:
        case "kind" | "queue" | "state":
            return job[term.field] in term.values
        case "tenant":
            return str(job["tenant"]) in term.values
        case "worker":
            return str(job["worker_id"]) in term.values
        case "unique":
            return job["unique_key"] in term.values
        case "group":
            return job["error_group"] in term.values
        case "error":
            return error is not None and any(v.lower() in error.lower() for v in term.values)
        case "about":
            held = {str(job["tenant"]), *map(spell, job["args"].values())}
            return any(value in held for value in term.values)
        case "args":
            found = dig(job["args"], term.path)
            return any(equal(found, value) for value in term.values)
        case "id" | "attempt" | "priority":
            if term.operator == ":":
                return job[term.field] in map(int, term.values)
            return compare(job[term.field], term.operator, int(term.values[0]))
        case "age" | "waited" | "ran":
            length = lengths(job, now)[term.field]
            return length is not None and compare(length, term.operator, seconds(term.values[0]))
    return is_when(job, term, now)


MISSING = object()


def has(job: dict[str, Any], term: Term) -> bool:
    column = {"group": "error_group", "worker": "worker_id", "unique": "unique_key"}
    if term.field == "args":
        return dig(job["args"], term.path) is not MISSING
    if term.field == "error":
        return bool(job["errors"])
    return job[column.get(term.field, term.field)] is not None


def dig(found: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return MISSING
    return found


def equal(found: Any, value: str) -> bool:
    if found is MISSING or isinstance(found, dict | list):
        return False
    try:
        read = json.loads(value)
    except ValueError:
        read = MISSING
    return found == value or (isinstance(found, bool) == isinstance(read, bool) and found == read)


def spell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def lengths(job: dict[str, Any], now: datetime) -> dict[str, timedelta | None]:
    state, started_at = job["state"], job["started_at"]
    waited = ran = None
    if state in ("available", "dispatched"):
        waited = now - job["run_at"]
    elif started_at and state in ("running", "completed", "discarded"):
        waited = started_at - job["run_at"]
    if started_at and state == "running":
        ran = now - started_at
    elif started_at and state in ("completed", "discarded"):
        ran = job["finished_at"] - started_at
    return {"age": now - job["created_at"], "waited": waited, "ran": ran}


def is_when(job: dict[str, Any], term: Term, now: datetime) -> bool:
    at = job[
        "run_at"
        if term.field == "run_at"
        else "created_at"
        if term.field == "created"
        else "finished_at"
    ]
    if at is None or (term.field == "discarded" and job["state"] != "discarded"):
        return False
    if term.operator == ":":
        return str(at.astimezone(UTC).date()) in term.values
    value = term.values[0]
    if not value[-1].isalpha():
        then = datetime.fromisoformat(value).replace(tzinfo=UTC)
        return compare(at, term.operator, then)
    ahead = at - now if term.field == "run_at" else now - at
    return compare(ahead, term.operator, seconds(value))


def seconds(span: str) -> timedelta:
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    return timedelta(seconds=int(span[:-1]) * units[span[-1]])


def compare(one: Any, operator: str, other: Any) -> bool:
    tests: dict[str, Callable[[], bool]] = {
        ">": lambda: one > other, ">=": lambda: one >= other,
        "<": lambda: one < other, "<=": lambda: one <= other,
    }  # fmt: skip
    return tests[operator]()


@pytest.fixture
def rows(conn: Connection) -> list[dict[str, Any]]:
    rng = random.Random(7)
    now = job_list.read_now(conn)
    with conn.cursor() as cursor:
        cursor.executemany(INSERT, [make_job(rng, number, now) for number in range(JOBS)])
    return conn.cursor(row_factory=dict_row).execute("SELECT * FROM worker.jobs").fetchall()


def test_random_filters_find_what_their_words_mean(
    conn: Connection, rows: list[dict[str, Any]]
) -> None:
    rng, some = random.Random(8), 0
    for _ in range(FILTERS):
        words = [
            rng.choice(["", "", "-"]) + rng.choice(TERMS)(rng)
            for _ in range(rng.choice([1, 1, 2, 3]))
        ]
        wanted = parse(" ".join(words), KNOWN)

        with conn.transaction():
            search = Search(conn, wanted)
            found = search.gather(ids_max=JOBS, is_patient=True)
            counts = search.count()

        expected = {
            row["id"] for row in rows
            if all(matches(row, term, search.now) for term in wanted.terms)
        }  # fmt: skip
        assert set(found.ids) == expected, str(wanted)
        assert len(found.ids) == len(expected)
        total = sum(count.number for state, count in counts.items() if state in wanted.states())
        assert total == len(expected), str(wanted)
        some += bool(expected)
    assert some > FILTERS / 3


@pytest.mark.parametrize(
    "text", ["", "-state:completed", "state:discarded,completed", "-state:completed attempt>1"]
)
def test_a_bulk_action_takes_all_that_match_in_however_many_steps(
    conn: Connection, rows: list[dict[str, Any]], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = parse(text, KNOWN)
    expected = sorted(
        (
            row["id"]
            for row in rows
            if all(matches(row, t, row["created_at"]) for t in wanted.terms)
        ),
        reverse=True,
    )
    for name in ("STEP_ROWS_MIN", "STEP_ROWS_MAX"):
        monkeypatch.setattr(job_search, name, 6)

    with conn.transaction():
        all_of_them = Search(conn, wanted).gather(ids_max=JOBS, is_patient=True)
        some = Search(conn, wanted).gather(ids_max=len(expected) - 1, is_patient=True)

    assert (all_of_them.ids, all_of_them.more, all_of_them.stopped) == (expected, False, False)
    assert len(some.ids) == len(expected) - 1
    assert some.more


@pytest.mark.parametrize(
    "text",
    ["", "state:discarded,completed,cancelled", "state:available,retryable", "error:*", "group:*"],
)
def test_pages_follow_each_other_without_gap_or_overlap(
    conn: Connection, rows: list[dict[str, Any]], text: str
) -> None:
    wanted = parse(text, KNOWN)
    seen: list[int] = []
    after: Place | None = Place()

    while after is not None:
        with conn.transaction():
            page = Search(conn, wanted).list_page(after=after, rows_max=7)
        seen += [row.id for row in page.rows]
        after = None if page.next is None else job_search.read_place(job_search.written(page.next))
        conn.execute(
            "INSERT INTO worker.jobs (kind, queue, max_attempts) VALUES ('probe', 'late', 1)"
        )

    expected = {
        row["id"] for row in rows if all(matches(row, t, row["created_at"]) for t in wanted.terms)
    }
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


def test_a_search_that_takes_long_says_how_far_it_came_and_goes_on(
    conn: Connection, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_search, "SEARCH_S_MAX", 0.0)
    monkeypatch.setattr(job_search, "STEP_ROWS_MIN", 50)
    oldest = min(row["id"] for row in rows)
    wanted = parse(f"id<={oldest}", KNOWN)
    pages: list[job_search.Page] = []
    after: Place | None = Place()

    with conn.transaction():
        while after is not None and len(pages) < 10:
            pages.append(Search(conn, wanted).list_page(after=after, rows_max=5))
            after = pages[-1].next

    assert [page.stopped for page in pages] == [True, True, True, False]
    assert pages[0].looked == 50
    assert [row.id for row in pages[-1].rows] == [oldest]
