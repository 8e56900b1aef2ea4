"""What the migrations make of messages and marks from before days were counted."""

import shutil
from pathlib import Path

from db.migrate import MIGRATIONS, migrate
from db.pool import connect
from tests.integration.schema_world import build
from tests.integration.stats_world import assert_days_are_right, serve

FIRST_OF_OURS = "20250206000100"


def test_old_messages_get_their_agent_unedited_and_every_day_is_counted(
    empty_database_url: str, tmp_path: Path
) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        if path.name < FIRST_OF_OURS:
            shutil.copy(path, tmp_path)
    migrate(empty_database_url, folder=tmp_path)
    with connect(empty_database_url, autocommit=True) as conn:
        build(conn)
        conn.execute("UPDATE messages SET created_at = '2026-03-10 12:00+00'")
        before = conn.execute("SELECT id, updated_at FROM messages ORDER BY id").fetchall()
        conn.execute("DELETE FROM worker.stats_marks WHERE day < '2026-06-01'")

        migrate(empty_database_url)

        after = conn.execute(
            "SELECT m.id, m.updated_at FROM messages AS m JOIN conversations AS c"
            " ON c.id = m.conversation_id WHERE m.agent_id = c.agent_id ORDER BY m.id"
        ).fetchall()
        assert after == before
        serve(conn)
        assert_days_are_right(conn)
