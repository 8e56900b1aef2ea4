"""What the migrations make of webhooks and deliveries from before anybody delivered."""

import shutil
from pathlib import Path

from db.migrate import MIGRATIONS, migrate
from db.pool import connect
from tests.integration.schema_world import build, row_id

FIRST_OF_OURS = "20250205000300"
WEBHOOK = row_id("webhooks")


def test_recent_deliveries_are_queued_old_ones_cancelled_and_the_rest_counted(
    empty_database_url: str, tmp_path: Path
) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        if path.name < FIRST_OF_OURS:
            shutil.copy(path, tmp_path)
    migrate(empty_database_url, folder=tmp_path)
    with connect(empty_database_url, autocommit=True) as conn:
        build(conn)
        conn.execute(
            "DELETE FROM webhook_deliveries;"
            "UPDATE webhooks SET events = '{lead.captured,Lead.Captured,lead,*}'"
        )
        conn.execute(
            "INSERT INTO webhook_deliveries (webhook_id, event_type, status, created_at)"
            " SELECT %s, 'lead.captured', status, now() - age::interval FROM (VALUES"
            " ('pending', '1 hour'), ('retrying', '2 hours'), ('pending', '25 hours'),"
            " ('delivered', '9 days'), ('failed', '9 days'), ('blocked', '9 days'))"
            " AS old (status, age)",
            [WEBHOOK],
        )

        migrate(empty_database_url)

        left = conn.execute(
            "SELECT status, count(*), count(error_message), (SELECT count(*) FROM worker.jobs AS j"
            " WHERE j.kind = 'deliver_webhook' AND j.state = 'available')"
            " FROM webhook_deliveries GROUP BY 1 ORDER BY 1"
        ).fetchall()
        hook = conn.execute(
            "SELECT events, total_deliveries, successful_deliveries, failed_deliveries"
            " FROM webhooks WHERE id = %s",
            [WEBHOOK],
        ).fetchone()
    assert left == [
        ("blocked", 1, 0, 2), ("cancelled", 1, 1, 2), ("delivered", 1, 0, 2), ("failed", 1, 0, 2),
        ("pending", 2, 0, 2),
    ]  # fmt: skip
    assert hook == (["lead.captured", "*"], 3, 1, 2)
