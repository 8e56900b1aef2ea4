"""`avivro schedules list`, as it reads in a terminal."""

import pytest
from typer.testing import CliRunner

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
