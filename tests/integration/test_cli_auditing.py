"""What commands change is in the audit log, beside what pages change."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from db import audit, jobs
from db.audit import Wanted
from db.pool import Connection
from workers.cli import app

Cli = Callable[..., int]


@pytest.fixture
def cli(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs `avivro` with these arguments; its exit code."""
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*arguments: str) -> int:
        return CliRunner().invoke(app, list(arguments)).exit_code

    return run


def noted(conn: Connection) -> list[tuple[str, str, str]]:
    """Action, target and reason, oldest first."""
    entries = audit.search(conn, Wanted(), before=None, rows_max=100).entries
    return [(entry.action, entry.target, entry.why) for entry in reversed(entries)]


def test_commands_say_what_they_changed_and_why(conn: Connection, cli: Cli) -> None:
    job_id = jobs.enqueue(conn, "probe", {})

    codes = [
        cli("jobs", "cancel", str(job_id), "--why", "a mistake"),
        cli("jobs", "retry", str(job_id)),
        cli("queues", "pause", "default", "--why", "incident 7"),
        cli("queues", "resume", "default"),
        cli("queues", "pause", "--kind", "probe"),
        cli("schedules", "pause", "prune"),
        cli("schedules", "resume", "prune"),
    ]

    unsaid = "from the command line"
    assert codes == [0] * len(codes)
    assert noted(conn) == [
        ("cancel_jobs", f"job {job_id}", "a mistake"),
        ("retry_jobs", f"job {job_id}", unsaid),
        ("pause_queue", "queue default", "incident 7"),
        ("resume_queue", "queue default", unsaid),
        ("pause_kind", "kind probe", unsaid),
        ("pause_schedule", "schedule prune", unsaid),
        ("resume_schedule", "schedule prune", unsaid),
    ]


def test_they_say_who_was_at_the_terminal(conn: Connection, cli: Cli) -> None:
    cli("queues", "pause", "default")

    (entry,) = audit.search(conn, Wanted(), before=None, rows_max=9).entries
    assert re.fullmatch(r"cli:.+@.+", entry.operator)
    assert entry.role == "cli"


def test_what_changed_nothing_is_not_noted(conn: Connection, cli: Cli) -> None:
    codes = [
        cli("jobs", "retry", "999999"),
        cli("queues", "resume", "default"),
        cli("webhooks", "enable", str(uuid4())),
        cli("emails", "settle", str(uuid4()), "sent"),
    ]

    assert codes == [1, 1, 1, 1]
    assert noted(conn) == []


def test_many_jobs_are_one_entry(conn: Connection, cli: Cli) -> None:
    ids = [jobs.enqueue(conn, "probe", {}) for _ in range(30)]

    cli("jobs", "cancel", *map(str, ids))

    (entry,) = audit.search(conn, Wanted(), before=None, rows_max=9).entries
    assert entry.details == {"jobs": 30}
    assert len(entry.target) < 200
