"""`avivro stats`, as an operator uses it."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from db.pool import Connection
from tests.integration.stats_world import (
    add_agent,
    add_conversation,
    add_owner,
    assert_days_are_right,
)
from workers.cli import stats

Run = Callable[..., Any]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)
    return lambda *arguments: CliRunner().invoke(stats.app, [*map(str, arguments)])


@pytest.fixture
def agents(conn: Connection) -> list[UUID]:
    """Two, with conversations on five days (in Nepal) that nobody aggregated."""
    found = [add_agent(conn, add_owner(conn, "Asia/Kathmandu")) for _ in range(2)]
    for agent in found:
        for day in range(10, 15):
            add_conversation(conn, agent, f"2026-03-{day} 18:15+00")
    conn.execute("DELETE FROM worker.stats_marks")
    return found


def test_all_days_of_all_agents_are_computed_without_workers(
    conn: Connection, run: Run, agents: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "DAYS_MAX", 2)

    first, again = run("recompute", "--json"), run("recompute")

    assert json.loads(first.stdout) == {"agents": 2, "days": 10, "changed": 10}
    assert "0 rows changed, of 10 days of 2 agents" in again.stdout
    assert_days_are_right(conn)


def test_a_range_is_of_the_owners_days_both_included(
    conn: Connection, run: Run, agents: list[UUID]
) -> None:
    asked = (agents[0], "--from", "2026-03-12", "--to", "2026-03-13")

    done = run("recompute", *asked, "--json")
    shown = run("show", agents[0], "--json")

    assert json.loads(done.stdout)["changed"] == 2
    days = [(row["date"], row["total_conversations"]) for row in json.loads(shown.stdout)]
    assert days == [("2026-03-12", 1), ("2026-03-13", 1)]


def test_figures_are_shown_by_day(run: Run, agents: list[UUID]) -> None:
    run("recompute", agents[1])

    shown = run("show", agents[1], "--from", "2026-03-14", "--to", "2026-03-14")

    assert "2026-03-14" in shown.stdout
    assert "total_conversations" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (("recompute", uuid4()), "there is no agent", 1),
        (("show", uuid4()), "there is no agent", 1),
        (("recompute", "--from", "2026-03-02", "--to", "2026-03-01"), "is after --to", 2),
        (("recompute", "--from", "yesterday"), '"yesterday" is no day', 2),
    ],
)
def test_a_wrong_command_says_what_is_wrong(
    run: Run, arguments: tuple[str, ...], says: str, code: int
) -> None:
    ended = run(*arguments)

    assert (ended.exit_code, says in ended.stderr) == (code, True)
