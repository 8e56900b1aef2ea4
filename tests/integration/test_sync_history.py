"""What owners learn of the runs of their sources, and in which words."""

import json
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from db import retention
from db.pool import Connection
from pipelines.errors import Permanent
from tests.integration.schema_world import OTHER, OWNER, acting_as, build, row_id
from tests.knowledge import Indexing
from tests.processes import Avivro
from workers.outcome import describe

SOURCE = row_id("knowledge_sources")


def add_run(conn: Connection, *, days: float = 0, **fields: Any) -> int:
    given = {"status": "completed", "report": Jsonb({}), "source_id": SOURCE} | fields
    row = conn.execute(
        "INSERT INTO worker.sync_runs (source_id, kind, status, started_at, finished_at, report)"
        " VALUES (%(source_id)s, 'index_source', %(status)s, now(),"
        " now() - make_interval(secs => %(days)s * 86400), %(report)s) RETURNING id",
        {"days": days} | given,
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_owner_reads_what_each_run_did(conn: Connection) -> None:
    build(conn)
    report = {"documents": 1, "chunks_added": 3, "tokens_embedded": 99, "cost_usd": "0.0000099"}
    add_run(conn, days=1, report=Jsonb(report))
    add_run(conn, status="failed")

    with acting_as(conn, "authenticated", OWNER):
        rows = conn.execute(
            "SELECT status, documents, chunks_added, tokens_embedded, cost_usd::text"
            " FROM public.get_sync_history(%s)",
            (SOURCE,),
        ).fetchall()

    assert rows == [("failed", 0, 0, 0, "0"), ("completed", 1, 3, 99, "0.0000099")]


@pytest.mark.parametrize("function", ["get_sync_history", "get_sync_state"])
@pytest.mark.parametrize("source_id", [SOURCE, uuid4()])
def test_nobody_reads_the_history_of_others_or_of_nothing(
    conn: Connection, function: str, source_id: UUID
) -> None:
    build(conn)
    add_run(conn)

    with acting_as(conn, "authenticated", OTHER), pytest.raises(psycopg.errors.NoDataFound):
        conn.execute(f"SELECT * FROM public.{function}(%s)".encode(), (source_id,)).fetchall()


def test_an_owner_sees_when_a_source_refreshes_itself_next(conn: Connection) -> None:
    build(conn)
    conn.execute("UPDATE public.knowledge_sources SET type = 'url'")

    with acting_as(conn, "authenticated", OWNER):
        conn.execute("UPDATE public.knowledge_sources SET auto_sync = true")
        row = conn.execute(
            "SELECT next_sync_at IS NOT NULL, failures, paused_at FROM public.get_sync_state(%s)",
            (SOURCE,),
        ).fetchone()

    assert row == (True, 0, None)


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (None, "Indexing failed. Please try again or contact support."),
        (
            "http://example.com/ could not be read: it was not found (HTTP 404)",
            "http://example.com/ could not be read: it was not found (HTTP 404)",
        ),
        (
            "Internal error (KeyError): 'vector'",
            "Indexing failed because of a fault on our side. Your previous content stays"
            " searchable; please try again or contact support.",
        ),
        (
            "The worker process died while it ran this job: killed by SIGKILL.",
            "Indexing failed because of a fault on our side. Your previous content stays"
            " searchable; please try again or contact support.",
        ),
        (
            "The job ran longer than its time limit of 1800 s and could not be interrupted;"
            " its worker process was ended.",
            "Reading and indexing this source took longer than we allow. Please split it into"
            " smaller sources, or try again later.",
        ),
        (
            "The job ran longer than its time limit.",
            "Reading and indexing this source took longer than we allow. Please split it into"
            " smaller sources, or try again later.",
        ),
    ],
)
def test_each_cause_has_a_sentence_that_a_customer_understands(
    conn: Connection, cause: str | None, sentence: str
) -> None:
    errors = [] if cause is None else [{"error": cause}]

    row = conn.execute("SELECT worker.customer_error('discarded', %s)", (Jsonb(errors),)).fetchone()

    assert row == (sentence,)


@pytest.mark.parametrize("bug", [KeyError("vector"), ZeroDivisionError(), MemoryError()])
def test_no_bug_of_ours_is_shown_to_a_customer(conn: Connection, bug: Exception) -> None:
    errors = Jsonb([describe(1, bug)])

    row = conn.execute("SELECT worker.customer_error('discarded', %s)", (errors,)).fetchone()

    assert row is not None
    assert type(bug).__name__ not in row[0]
    assert "Traceback" not in row[0]


def test_a_run_that_failed_is_in_the_history_with_its_reason(knowledge: Indexing) -> None:
    source_id = knowledge.insert(content="  ")

    with pytest.raises(Permanent):
        knowledge.run()

    run = knowledge.row("SELECT * FROM worker.sync_runs WHERE source_id = %s", source_id)
    assert (run["kind"], run["status"]) == ("index_source", "failed")
    assert run["error_message"] == knowledge.source(source_id)["error_message"]


def test_only_the_newest_runs_of_a_source_are_kept(conn: Connection) -> None:
    build(conn)

    kept = [add_run(conn) for _ in range(205)][-200:]

    rows = conn.execute("SELECT id FROM worker.sync_runs ORDER BY id").fetchall()
    assert [row[0] for row in rows] == kept


def test_old_runs_are_pruned_but_never_what_the_chunks_come_from(conn: Connection) -> None:
    build(conn)
    add_run(conn, days=300)
    last = add_run(conn, days=200)
    failed = add_run(conn, days=1, status="failed")

    with conn.transaction():
        batch = retention.delete_runs(conn, since=None, rows_max=10)

    rows = conn.execute("SELECT id FROM worker.sync_runs ORDER BY id").fetchall()
    assert batch.deleted == 1
    assert [row[0] for row in rows] == [last, failed]


def test_the_command_lists_sources_and_their_runs(commands: Avivro, conn: Connection) -> None:
    build(conn)
    add_run(conn, report=Jsonb({"chunks_added": 3, "cost_usd": "0.25"}))

    listed = commands.run("sources", "list", str(row_id("agents")), "--json")
    history = commands.run("sources", "history", str(SOURCE), "--json")
    table = commands.run("sources", "history", str(SOURCE))

    assert [source["id"] for source in json.loads(listed.stdout)] == [str(SOURCE)]
    (run,) = json.loads(history.stdout)
    assert (run["chunks_added"], run["cost_usd"]) == (3, "0.25")
    assert "+3" in table.stdout


def test_the_command_refreshes_a_source_now(commands: Avivro, conn: Connection) -> None:
    build(conn)

    asked = commands.run("sources", "resync", str(SOURCE))

    row = conn.execute(
        "SELECT args ->> 'source_id' FROM worker.jobs WHERE kind = 'resync_source'"
    ).fetchone()
    assert asked.returncode == 0, asked.stderr
    assert row == (str(SOURCE),)


@pytest.mark.parametrize("command", ["list", "history", "resync"])
def test_a_command_about_nothing_says_so(commands: Avivro, conn: Connection, command: str) -> None:
    asked = commands.run("sources", command, str(uuid4()))

    assert asked.returncode == 1
    assert "there is no" in asked.stderr
