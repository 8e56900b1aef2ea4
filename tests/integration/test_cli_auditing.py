"""What commands change is in the audit log, beside what pages change."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from db import audit, jobs
from db.audit import Wanted
from db.pool import Connection
from tests.integration import schema_world as world
from workers.cli import app

# What changes nothing that operators answer for; processes are started, not acted by.
READING = {
    *("types", "top", "doctor", "search", "jobs list", "jobs show", "queues list", "workers list"),
    *("schedules list", "sources list", "sources history", "models estimate", "models show"),
    *("tenants list", "prices list", "prices unpriced", "billing periods", "billing prices list"),
    *("emails list", "emails show", "emails preview", "emails events", "emails suppressions list"),
    *("webhooks list", "webhooks show", "webhooks deliveries", "visitors requests", "stats show"),
    *("sentiment show", "operators list", "alerts list", "alerts test"),
    *("up", "migrate", "demo", "worker", "worker-child", "dispatcher", "scheduler", "dashboard"),
}
Cli = Callable[..., int]


@pytest.fixture
def cli(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs `avivro` with these arguments; its exit code."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)

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


def test_every_command_that_changes_anything_asks_why() -> None:
    silent = {
        name
        for name, command in commands(get_command(app))
        if not any("--why" in parameter.opts for parameter in command.params)
    }

    assert silent == READING


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_what_concerns_customers_is_noted_without_naming_them(conn: Connection, cli: Cli) -> None:
    owner, agent = world.OWNER, world.row_id("agents")
    world.sign_up(conn, owner, "owner@example.com")
    world.insert(conn, "agents", world.row("agents"))
    why = ("--why", "ticket 9")

    codes = [
        cli("emails", "suppressions", "add", "max@example.com", *why),
        cli("emails", "suppressions", "remove", "max@example.com", *why),
        cli("visitors", "erase", str(agent), "--email", "eve@example.com", *why),
        cli("billing", "prices", "set", "starter", "0.02", *why),
        cli("billing", "terms", "set", str(owner), "--tax-rate", "0.19", *why),
        cli("billing", "close", str(owner), *why),
        cli("prices", "set", "gpt-9", "--input", "3", *why),
        cli("prices", "reprice", "gpt-9", "--from", "2026-01-01", *why),
        cli("models", "change", str(agent), "local", "--yes", *why),
        cli("reindex", str(agent), "--yes", *why),
        cli("ingest", str(agent), "https://example.com/page", "--no-wait", *why),
        cli("stats", "recompute", str(agent), *why),
        cli("jobs", "enqueue", "probe", *why),
    ]

    assert codes == [0] * len(codes)
    entries = noted(conn)
    assert {said for _, _, said in entries} == {"ticket 9"}
    assert [(action, target.partition(" ")[0]) for action, target, _ in entries] == [
        ("suppress_address", "address"),
        ("lift_suppression", "address"),
        ("erase_visitor", "agent"),
        ("set_message_price", "tier"),
        ("set_terms", "user"),
        ("close_periods", "user"),
        ("set_model_price", "model"),
        ("reprice_usage", "model"),
        ("change_model", "agent"),
        ("reindex_agent", "agent"),
        ("add_sources", "agent"),
        ("recompute_stats", "agent"),
        ("enqueue_jobs", "job"),
    ]
    (whole,) = conn.execute("SELECT string_agg(a::text, ' ') FROM worker.audit_log AS a").fetchall()
    assert not re.search("max@|eve@|owner@", whole[0])


@pytest.mark.parametrize("why", ["", "  ", "x" * 501])
def test_a_reason_that_cannot_be_kept_as_it_is_stops_the_command(
    conn: Connection, cli: Cli, why: str
) -> None:
    codes = [
        cli("queues", "pause", "default", "--why", why),
        cli("jobs", "enqueue", "probe", "--why", why),
    ]

    assert codes == [2, 2]
    assert noted(conn) == []
    assert conn.execute("SELECT FROM worker.pauses UNION ALL SELECT FROM worker.jobs").rowcount == 0


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
