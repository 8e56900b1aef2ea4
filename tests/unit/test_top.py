"""What `avivro top` draws of its looks."""

from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from rich.console import Console

from db.processes import Process
from workers.cli.queues import Queue
from workers.cli.top import BARS, Glance, Trend, bars, draw, draw_away
from workers.finding import Finding

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PROCESS = Process(uuid4(), "worker", "vm", 1, {}, None, NOW, NOW, NOW, None)
STATES = ("scheduled", "available", "dispatched", "running", "retryable", "discarded")
STOPPED = Finding(
    "no_worker", "stop", "No worker is alive", "3 jobs wait.", "Start one", "no-worker"
)


def queue(name: str, waited_s: float | None, **jobs: int) -> Queue:
    return Queue(
        name, 8, {state: jobs.get(state, 0) for state in STATES}, waited_s, None, None, None
    )


def glance(*queues: Queue, ended: float = 0, findings: tuple[Finding, ...] = ()) -> Glance:
    return Glance(list(findings), list(queues), [], [], {"completed": ended}, {"default": ended})


def shown(trend: Trend) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(draw(trend))
    return captured.get()


def test_what_is_wrong_comes_first_and_the_longest_wait_before_the_shorter() -> None:
    trend = Trend()

    trend.add(glance(queue("email", 2), queue("default", 300), findings=(STOPPED,)), 0)

    lines = shown(trend)
    assert lines.index("No worker is alive") < lines.index("default") < lines.index("email")
    assert "5 min" in lines
    assert "3 jobs wait. Start one" in lines


@pytest.mark.parametrize("height", [14, 24, 40])
def test_a_look_fits_its_screen_and_counts_what_does_not(height: int) -> None:
    found = tuple(replace(STOPPED, key=str(n), title=f"Trouble {n}") for n in range(9))
    trend = Trend()
    trend.add(glance(queue("default", 1), queue("email", None), findings=found), 0)
    assert trend.glance is not None
    trend.glance.processes.extend([PROCESS] * 30)
    console = Console(width=80)

    with console.capture() as captured:
        console.print(draw(trend, 80, height))

    lines = captured.get().splitlines()
    assert len(lines) <= height
    assert "Trouble 0" in lines[1]
    assert ("more: avivro alerts list" in captured.get()) is (height < 40)
    assert "of 30)" in captured.get()
    assert any(line.startswith("default") or " default " in line for line in lines)


def test_rates_are_what_ended_between_two_looks() -> None:
    trend = Trend()

    trend.add(glance(queue("default", None), ended=10), 0)
    trend.add(glance(queue("default", None), ended=30), 4)

    assert "5.0 completed/s" in shown(trend)
    assert trend.queue_per_s["default"] == deque([5.0])


def test_bars_fill_with_the_highest() -> None:
    assert bars(deque([0.0, 5.0, 10.0])) == f"{BARS[0]}{BARS[4]}{BARS[8]} 10.0/s"
    assert bars(deque([0.0])) == ""


def test_figures_stay_while_postgres_is_away() -> None:
    trend = Trend()
    trend.add(glance(queue("default", 7)), 0)
    console = Console(width=120)

    with console.capture() as captured:
        console.print(draw_away(trend, OSError("connection refused\nmore")))

    assert "Postgres does not answer: connection refused" in captured.get()
    assert "default" in captured.get()
