"""What the triggers on `messages` cost: the same rows into `messages` and into bare tables.

Bare tables have the columns, checks and indexes of `conversations` and `messages`, the second
form the foreign key too, and no trigger of ours. Forms of insert and tables alternate.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from db.embedded import serve
from db.migrate import migrate
from db.pool import Connection, connect

AGENTS = 100
CONVERSATIONS = 2_000
MESSAGES = 100_000
BATCH_ROWS = 1_000
SINGLE_ROWS = 300
RATIO_MAX = 3.0
TABLES = ("public.messages", "bare.messages", "bare_fk.messages")

PREPARE = """
INSERT INTO auth.users (id, email) VALUES
    ('00000000-0000-4000-8000-000000000001', 'owner@example.com');
INSERT INTO public.agents (user_id, name)
SELECT '00000000-0000-4000-8000-000000000001', 'Agent ' || n FROM generate_series(1, %(agents)s) n;
INSERT INTO public.conversations (agent_id)
SELECT a.id FROM (SELECT id, row_number() OVER () AS place FROM public.agents) AS a
JOIN generate_series(1, %(conversations)s) AS n ON n %% %(agents)s + 1 = a.place;
CREATE SCHEMA bare;
CREATE TABLE bare.messages (LIKE public.messages INCLUDING ALL);
CREATE SCHEMA bare_fk;
CREATE TABLE bare_fk.conversations (LIKE public.conversations INCLUDING ALL);
INSERT INTO bare_fk.conversations SELECT * FROM public.conversations;
CREATE TABLE bare_fk.messages (LIKE public.messages INCLUDING ALL);
ALTER TABLE bare_fk.messages ADD FOREIGN KEY (conversation_id)
    REFERENCES bare_fk.conversations (id) ON DELETE CASCADE;
CREATE TABLE public.bench_rows AS
SELECT (row_number() OVER ())::int - 1 AS place, c.id AS conversation_id,
       CASE n %% 2 WHEN 0 THEN 'user' ELSE 'assistant' END AS role,
       'Message ' || n || ' of a conversation about delivery times and returns.' AS content
FROM generate_series(1, %(messages)s / %(conversations)s) AS n CROSS JOIN public.conversations AS c;
CREATE UNIQUE INDEX ON public.bench_rows (place);
ANALYZE;
"""
INSERT = (
    "INSERT INTO {table} (conversation_id, role, content)"
    " SELECT conversation_id, role, content FROM public.bench_rows"
    " WHERE place >= %s AND place < %s"
)


@dataclass(frozen=True)
class Form:
    """A way to insert `rows` messages, `step` of them in one statement and transaction."""

    name: str
    rows: int
    step: int
    repetitions: int


FORMS = (
    Form("100k rows in one statement", MESSAGES, MESSAGES, repetitions=3),
    Form(f"100k rows by {BATCH_ROWS}", MESSAGES, BATCH_ROWS, repetitions=3),
    Form("one row a transaction", SINGLE_ROWS, 1, repetitions=15),
)


def main() -> None:
    with prepared() as conn:
        print_versions(conn)
        seconds = measure(conn)
        print_ratios(seconds)
        print_triggers(conn)


@contextmanager
def prepared() -> Iterator[Connection]:
    with TemporaryDirectory(prefix="avivro-bench-") as home, serve(Path(home)) as services:
        assert services.database_url is not None
        migrate(services.database_url)
        with connect(services.database_url, autocommit=True) as conn:
            sizes = {"agents": AGENTS, "conversations": CONVERSATIONS, "messages": MESSAGES}
            for statement in PREPARE.split(";\n"):
                if statement.strip():
                    conn.execute(statement.encode(), sizes)
            yield conn


def print_versions(conn: Connection) -> None:
    version = conn.execute("SELECT version()").fetchone()
    print(version[0] if version else "")
    print("durable commits; tables alternate; median of the ratios (smallest to largest)")


def measure(conn: Connection) -> dict[tuple[Form, str], list[float]]:
    seconds: dict[tuple[Form, str], list[float]] = {}
    for form in FORMS:
        for table in TABLES * form.repetitions:
            conn.execute("CHECKPOINT")
            seconds.setdefault((form, table), []).append(time_insert(conn, form, table))
    return seconds


def time_insert(conn: Connection, form: Form, table: str) -> float:
    statement = INSERT.format(table=table).encode()
    begun = time.perf_counter()
    for start in range(0, form.rows, form.step):
        conn.execute(statement, (start, start + form.step))
    return time.perf_counter() - begun


def print_ratios(seconds: dict[tuple[Form, str], list[float]]) -> None:
    """Losses first: ratios of the same repetition, the largest on top."""
    lines = []
    for form in FORMS:
        ours = seconds[form, TABLES[0]]
        for bare in TABLES[1:]:
            pairs = list(zip(ours, seconds[form, bare], strict=True))
            ratios = [mine / theirs for mine, theirs in pairs]
            lines.append((statistics.median(ratios), ratios, form, bare, ours))
    for ratio, ratios, form, bare, ours in sorted(lines, key=lambda line: -line[0]):
        verdict = "LOSS" if ratio > RATIO_MAX else "ok"
        rate = form.rows / statistics.median(ours)
        print(
            f"{verdict:4}  {ratio:5.2f}x ({min(ratios):.2f} to {max(ratios):.2f})  {bare:16}"
            f"  {form.name}: {rate:,.0f} rows/s with triggers,"
            f" {form.rows / statistics.median(seconds[form, bare]):,.0f} without"
        )


def print_triggers(conn: Connection) -> None:
    """Where the time goes, as EXPLAIN ANALYZE counts it; a commit is not in it."""
    statement = "EXPLAIN (ANALYZE, BUFFERS OFF) " + INSERT.format(table=TABLES[0])
    for rows in (BATCH_ROWS, 1):
        print(f"where the time of {rows} rows in one statement goes:")
        for (line,) in conn.execute(statement.encode(), (0, rows)).fetchall():
            if line.startswith(("Trigger", "Execution")):
                print(f"  {line}")


if __name__ == "__main__":
    main()
