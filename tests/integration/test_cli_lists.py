"""`avivro schedules list` and `avivro workers list`, as they read in a terminal."""

from uuid import uuid4

import pytest
from typer.testing import CliRunner

from db import processes
from db.pool import Connection
from schedules import operating
from workers.cli import app


def test_each_schedule_reads_on_one_line_of_80_columns(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "80")
    operating.pause(conn, "close_idle_conversations")
    operating.edit(conn, "prune", "30 2 * * mon")
    conn.execute(
        "UPDATE worker.schedules SET begins_at = now() - interval '3 min'"
        " WHERE name = 'watch_health';"
        "INSERT INTO worker.schedule_ticks (schedule, fire_at, skipped)"
        " SELECT 'announce_leads', now() - n * interval '1 min', true FROM generate_series(1, 3) n"
    )
    conn.commit()

    lines = CliRunner().invoke(app, ["schedules", "list"]).stdout.splitlines()

    said = {words[0]: " ".join(words[1:]) for line in lines if (words := line.split())}
    assert max(map(len, lines)) <= 80
    assert said.keys() >= set(operating.names())
    assert said["close_idle_conversations"].startswith("4-59/10 * * * * paused")
    assert said["prune"].startswith("30 2 * * mon")
    assert "(was 7 * * * *)" in map(str.strip, lines)
    assert said["watch_health"].split()[-1] in {"s", "min"}
    assert "3 missed" in said["announce_leads"]


def test_each_process_reads_beside_its_whole_id(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "80")
    id = uuid4()
    queues = {name: {"threads": 4} for name in ("default", "email", "knowledge", "sentiment")}
    processes.register(conn, id=id, role="worker", host="wrk-s1", pid=7, queues=queues)
    conn.commit()

    lines = CliRunner().invoke(app, ["workers", "list"]).stdout.splitlines()

    said = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= 80
    assert f"{id} worker on wrk-s1:7 lives" in said
    assert all(f"{name}:4" in said for name in queues)
