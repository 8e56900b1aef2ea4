"""Knowledge through real processes: rows by plain SQL, kills in the middle, the commands."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from psycopg.rows import dict_row

from db import demo
from db.pool import Connection
from tests.processes import Avivro, wait_until, worker_children


@pytest.fixture
def agent_id(conn: Connection) -> UUID:
    user_id = demo.ensure_user(conn, email="owner@example.com", full_name="Owner")
    return demo.create_agent(conn, user_id=user_id, name="Agent", description="", system_prompt="")


def insert(conn: Connection, agent_id: UUID, content: str) -> UUID:
    row = conn.execute(
        "INSERT INTO public.knowledge_sources (agent_id, name, type, content)"
        " VALUES (%s, 'by hand', 'text', %s) RETURNING id",
        (agent_id, content),
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def source(conn: Connection, source_id: UUID) -> dict[str, Any]:
    cursor = conn.cursor(row_factory=dict_row)
    found = cursor.execute(
        "SELECT * FROM public.knowledge_sources WHERE id = %s", (source_id,)
    ).fetchone()
    assert found is not None
    return found


def has_ended(conn: Connection, source_id: UUID) -> Callable[[], dict[str, Any] | None]:
    def look() -> dict[str, Any] | None:
        found = source(conn, source_id)
        return found if found["status"] in ("completed", "failed") else None

    return look


def numbered_text(paragraphs: int) -> str:
    return "\n\n".join(
        f"Article {n}. " + " ".join(f"clause {n}-{k} stands as agreed" for k in range(90)) + "."
        for n in range(paragraphs)
    )


def test_a_row_inserted_by_hand_is_indexed(
    commands: Avivro, conn: Connection, agent_id: UUID
) -> None:
    commands.start("up")

    source_id = insert(conn, agent_id, "We deliver on Tuesdays and Fridays.")

    row = wait_until(has_ended(conn, source_id), "the source ends")
    assert (row["status"], row["chunks_count"], row["error_message"]) == ("completed", 1, None)


def test_a_source_survives_the_kill_of_its_worker(
    commands: Avivro, conn: Connection, agent_id: UUID
) -> None:
    commands.start("dispatcher")
    commands.start("worker")
    text = numbered_text(400)
    source_id = insert(conn, agent_id, text)
    wait_until(
        lambda: (
            (source(conn, source_id)["progress"] or {}).get("stage") in ("embedding", "storing")
        ),
        "the source is being indexed",
    )

    for child in worker_children(commands):
        child.kill()

    row = wait_until(has_ended(conn, source_id), "the source ends after the kill")
    stored = conn.execute(
        "SELECT content FROM public.knowledge_chunks WHERE source_id = %s ORDER BY chunk_index",
        (source_id,),
    ).fetchall()
    assert row["status"] == "completed"
    assert row["chunks_count"] == len(stored) >= 400
    assert "".join(content for (content,) in stored) == text


def test_ingest_and_search_answer_as_json(
    commands: Avivro, conn: Connection, agent_id: UUID
) -> None:
    commands.folder.joinpath("hours.md").write_text(
        "# Shop\n\n## Opening hours\n\nWe open at nine and close at six.\n\n"
        "## Returns\n\nSend it back within thirty days for a full refund.\n"
    )

    ingested = commands.run("ingest", str(agent_id), "hours.md", "--json")
    found = commands.run("search", str(agent_id), "When do you open?", "--limit", "1", "--json")

    (added,) = json.loads(ingested.stdout)
    assert (ingested.returncode, added["status"]) == (0, "completed")
    (best,) = json.loads(found.stdout)
    assert best["source_id"] == added["id"]
    assert best.keys() == {"source_id", "chunk_id", "content", "heading_path", "score", "why"}
    assert "nine" in best["content"]


def test_standard_input_is_a_source(commands: Avivro, agent_id: UUID) -> None:
    ingested = commands.run("ingest", str(agent_id), "-", "--json", stdin="Ring twice, please.")

    (added,) = json.loads(ingested.stdout)
    assert (added["status"], added["chunks_count"]) == ("completed", 1)


def test_a_failed_source_makes_ingest_fail(commands: Avivro, agent_id: UUID) -> None:
    ingested = commands.run("ingest", str(agent_id), "-", "--json", stdin="   ")

    (added,) = json.loads(ingested.stdout)
    assert (ingested.returncode, added["status"]) == (1, "failed")
    assert "empty" in added["error_message"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("search", "8c3f6a52-6f0e-4f0d-9f3e-0d6a1f1f9a11", "why?"), 1, "there is no agent"),
        (("search", "8c3f", "why?"), 2, "UUID"),
        (("ingest", "8c3f6a52-6f0e-4f0d-9f3e-0d6a1f1f9a11", "/no/such"), 1, "there is no agent"),
        (("jobs", "enqueue", "nope"), 2, 'unknown job kind "nope"'),
        (("jobs", "enqueue", "probe", "{"), 2, "not JSON"),
        (("jobs", "show", "99"), 1, "there is no job 99"),
        (("worker", "-q", "nope"), 2, "nope"),
    ],
)
def test_a_wrong_command_says_so(
    commands: Avivro, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = commands.run(*arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr


def test_doctor_finds_nothing_wrong_with_a_fresh_database(commands: Avivro) -> None:
    done = commands.run("doctor", "--json")

    checks = {check["check"]: check["ok"] for check in json.loads(done.stdout)}
    assert (done.returncode, set(checks.values())) == (0, {True})
    assert {"Postgres", "Redis", "schema", "job kinds"} <= checks.keys()


def test_migrate_again_does_nothing(commands: Avivro) -> None:
    done = commands.run("migrate", "--json")

    assert (done.returncode, json.loads(done.stdout)) == (0, [])
