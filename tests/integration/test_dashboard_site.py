"""What every page of the dashboard has in common."""

from collections.abc import Iterator

import pytest

from db.pool import Connection
from tests.dashboard_world import Desk, open_desk


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def test_shipped_files_need_no_login(desk: Desk) -> None:
    answer = desk.browser(None).client.get("/static/tokens.css")

    assert answer.status_code == 200


def test_the_audit_log_refuses_changes(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO worker.audit_log (operator, role, action, target, why)"
        " VALUES ('ada', 'admin', 'retry_jobs', 'job 1', 'because')"
    )

    for statement in (
        "UPDATE worker.audit_log SET why = 'else'",
        "DELETE FROM worker.audit_log",
        "TRUNCATE worker.audit_log",
    ):
        with pytest.raises(Exception, match="append-only"), conn.transaction():
            conn.execute(statement)
