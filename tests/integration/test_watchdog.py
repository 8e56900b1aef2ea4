"""A main loop that hangs ends its process; one that beats does not."""

import subprocess
import sys

from workers.heartbeat import EXIT_STUCK

LOOP = """
import sys, threading, time
from workers.heartbeat import LoopSignal, Watchdog

watchdog = Watchdog("the loop", silent_s_max=1.5)
watchdog.start()
stopped = LoopSignal(threading.Event(), watchdog.beat)
until = time.monotonic() + 3
while not stopped.is_set() and time.monotonic() < until:
    stopped.wait(0.1)
{then}
"""


def run(then: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", LOOP.format(then=then)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_loop_that_beats_lives() -> None:
    assert run("sys.exit(0)").returncode == 0


def test_a_loop_that_hangs_ends_its_process_and_says_where() -> None:
    ended = run("time.sleep(60)")

    assert ended.returncode == EXIT_STUCK
    assert "the loop hangs" in ended.stderr
    assert "line 11 in <module>" in ended.stderr
