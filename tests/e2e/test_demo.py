"""`avivro demo` and `up` on embedded servers, as on a machine that has neither."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.processes import Avivro, avivro, children, wait_until


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Avivro]:
    """Commands with no server in sight, in a folder with a space in its name."""
    folder = tmp_path / "a new folder"
    with avivro(folder, AVIVRO_HOME=str(folder / ".avivro")) as commands:
        yield commands


def test_the_demo_answers_its_questions_and_ends(alone: Avivro) -> None:
    from workers.sample import QUESTIONS

    first = alone.run("demo", timeout_s=150)
    second = alone.run("demo", timeout_s=150)

    for done in (first, second):
        shown = " ".join(done.stdout.split())
        assert done.returncode == 0, done.stderr
        assert "local model" in shown
        assert [q.phrase for q in QUESTIONS if q.phrase not in shown] == []


def test_ctrl_c_ends_everything_that_up_started(alone: Avivro) -> None:
    up = alone.start("up")
    wait_until(lambda: "worker ready" in alone.log("up"), "the stack is up")
    started = children(up)

    up.terminate()
    code = up.wait(60)

    _, alive = psutil.wait_procs(started, timeout=20)
    assert (code, alive) == (0, [])
