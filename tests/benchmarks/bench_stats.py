"""Daily statistics: right under load, what marks cost, and what a recompute costs on much history.

BENCH_PARTS (comma-separated) chooses: stress, marks, history. BENCH_SECONDS is how long the
stress lasts (60), BENCH_MESSAGES how many messages `history` ends with (10,000,000: a few minutes
and 8 GB of disk; triggers rest while they are made). Losses come first within each part.
"""

import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from platform import python_version
from tempfile import TemporaryDirectory

import psutil

from db.embedded import serve
from db.migrate import migrate
from db.pool import Connection, connect
from tests.benchmarks.stats_history import Taken, measure, print_history
from tests.conftest import with_database
from tests.stressing import Crew, stress

SECONDS = 60.0
PAIRS = 11
SINGLE_ROWS = 200
COPY_ROWS = 25_000
COPY_PAIRS = 5
MARKING = "mark_stats_%"


@dataclass(frozen=True)
class Server:
    """An embedded Postgres, and an empty migrated database on it for each part."""

    url: str

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        with connect(with_database(self.url, "postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
            url = with_database(self.url, name)
            migrate(url)
            yield url
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def main() -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    chosen = [part for part in os.environ.get("BENCH_PARTS", "").split(",") if part]
    with TemporaryDirectory(prefix="avivro-bench-") as home, serve(Path(home)) as services:
        assert services.database_url is not None
        server = Server(services.database_url)
        print_settings(server)
        for name, part in PARTS.items():
            if not chosen or name in chosen:
                with server.database(name) as url:
                    part(url)


def print_settings(server: Server) -> None:
    names = ("server_version", "synchronous_commit", "fsync", "shared_buffers", "work_mem")
    with connect(server.url) as conn:
        rows = [(name, conn.execute(f"SHOW {name}".encode()).fetchone()) for name in names]
    told = ", ".join(f"{name}={row[0] if row else ''}" for name, row in rows)
    print(f"Python {python_version()}, PostgreSQL {told}")
    print(f"{psutil.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


# Stress: equal at the end, nobody deadlocks, no writer sees an error.


def print_stress(url: str) -> None:
    crew, seconds = Crew(), float(os.environ.get("BENCH_SECONDS", SECONDS))
    found = stress(url, duration_s=seconds, crew=crew)
    print(
        f"\n{crew.writers} writers, {crew.aggregators} aggregators, {crew.summarizers} summarisers"
        f" and {crew.reconcilers} reconciler for {found.seconds:.0f} s"
    )
    for name, wrong in found.wrong.items():
        print(f"LOSS  {name} differ from the naive recount: {str(wrong)[:500]}")
    for error in sorted(set(found.errors))[:10]:
        print(f"LOSS  {error}")
    if found.deadlocks:
        print(f"LOSS  {found.deadlocks} deadlocks")
    if not found.wrong and not found.errors and not found.deadlocks:
        print("ok    equal to the naive recount to the last digit; no deadlock, no error")
    print(
        f"      {found.writes / found.seconds:,.0f} writes/s, {found.runs / found.seconds:,.0f}"
        f" runs/s; {found.messages:,} messages at the end"
    )


# Marks: the same rows with the marking triggers on and off, alternating.


def print_marks(url: str) -> None:
    with connect(url, autocommit=True) as conn:
        prepare_messages(conn)
        single = measure_both(conn, insert_singly, PAIRS)
        copied = measure_both(conn, copy_many, COPY_PAIRS)
    print("\nthe same messages with triggers that mark and without, alternating")
    for what, rows, (on, off) in (
        ("a row a transaction", SINGLE_ROWS, single),
        (f"COPY of {COPY_ROWS:,}", COPY_ROWS, copied),
    ):
        for name, told in (("clock", "by the clock"), ("processor", "processor time")):
            mine, plain = ([getattr(one, name) for one in taken] for taken in (on, off))
            print(f"      {what}, {told}: {tell_cost(mine, plain, rows)}")


def tell_cost(on: list[float], off: list[float], rows: int) -> str:
    ratios = [with_ms / without_ms for with_ms, without_ms in zip(on, off, strict=True)]
    with_us, without_us = (statistics.median(times) / rows * 1000 for times in (on, off))
    return (
        f"{statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f}),"
        f" {with_us:,.1f} us a row with marks, {without_us:,.1f} without"
    )


def prepare_messages(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'owner@example.com')"
    )
    conn.execute(
        "INSERT INTO public.agents (user_id, name)"
        " SELECT id, 'Agent ' || n FROM public.user_profiles, generate_series(1, 100) AS n"
    )
    conn.execute(
        "INSERT INTO public.conversations (agent_id)"
        " SELECT id FROM public.agents, generate_series(1, 20)"
    )
    conn.execute(
        "CREATE TABLE public.bench_ids AS SELECT row_number() OVER (ORDER BY id) - 1 AS place, id"
        " FROM public.conversations"
    )
    conn.execute("ANALYZE")


def measure_both(
    conn: Connection, insert: Callable[[Connection], None], pairs: int
) -> tuple[list[Taken], list[Taken]]:
    """With marks and without, pair by pair; whichever is first changes."""
    on: list[Taken] = []
    off: list[Taken] = []
    for number in range(pairs):
        for marking in (True, False) if number % 2 else (False, True):
            switch_marks(conn, on=marking)
            conn.execute("CHECKPOINT")
            (on if marking else off).append(measure(conn, partial(insert, conn)))
        conn.execute("TRUNCATE worker.stats_marks")
    return on, off


def switch_marks(conn: Connection, *, on: bool) -> None:
    triggers = conn.execute(
        "SELECT format('ALTER TABLE %%s %%s TRIGGER %%I', t.tgrelid::regclass,"
        " CASE WHEN %s THEN 'ENABLE' ELSE 'DISABLE' END, t.tgname) FROM pg_trigger AS t"
        " WHERE t.tgrelid = ANY ('{public.messages,public.conversations}'::regclass[])"
        " AND t.tgname LIKE %s",
        (on, MARKING),
    ).fetchall()
    assert triggers
    for (statement,) in triggers:
        conn.execute(statement.encode())


def insert_singly(conn: Connection) -> None:
    for (conversation,) in pick_conversations(conn, SINGLE_ROWS):
        conn.execute(
            "INSERT INTO public.messages (conversation_id, role, content)"
            " VALUES (%s, 'assistant', 'When do you deliver?')",
            (conversation,),
        )


def copy_many(conn: Connection) -> None:
    ids = [row[0] for row in pick_conversations(conn, 2_000)]
    with (
        conn.cursor() as cursor,
        cursor.copy("COPY public.messages (conversation_id, role, content) FROM STDIN") as out,
    ):
        for number in range(COPY_ROWS):
            out.write_row((ids[number % len(ids)], "assistant", "When do you deliver?"))


def pick_conversations(conn: Connection, rows: int) -> Sequence[tuple[object, ...]]:
    return conn.execute(
        "SELECT id FROM public.bench_ids ORDER BY place LIMIT %s", (rows,)
    ).fetchall()


PARTS: dict[str, Callable[[str], None]] = {
    "stress": print_stress,
    "marks": print_marks,
    "history": print_history,
}


if __name__ == "__main__":
    main()
