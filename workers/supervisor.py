"""Keeps processes alive: starts them, watches them, replaces the ones that end, ends them all."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Protocol

# A process that dies within HEALTHY_AFTER_S of its start is restarted ever more slowly.
HEALTHY_AFTER_S = 10.0
BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
POLL_S = 0.2
TERM_GRACE_S = 35.0
# After a second request to end: what they run is handed back, nothing is waited for.
HURRY_S = 8.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# A terminal signals the whole process group, and then each parent its children: one request.
SAME_REQUEST_S = 2.0
# Processes of one post that finish their last jobs while a new one works already.
LEAVING_MAX = 2
# glibc keeps an arena per thread and gives little of it back: a worker would stay as large as its
# largest documents.
LEAN = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072"}

log = logging.getLogger(__name__)


class StopRequest:
    """Asked once: end in order. Asked again, later than SAME_REQUEST_S: end at once.

    Plain flags: a signal may interrupt the very thread that holds the lock of an Event.
    """

    def __init__(self) -> None:
        self.asked = False
        self.hurry = False
        self._asked_at = 0.0

    def ask(self) -> None:
        if not self.asked:
            self._asked_at = time.monotonic()
            self.asked = True
        elif time.monotonic() - self._asked_at > SAME_REQUEST_S:
            self.hurry = True

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as requests; for the main thread."""

        def ask(number: int, frame: FrameType | None) -> None:
            self.ask()

        for name in STOP_SIGNALS:
            signal.signal(name, ask)

    def close(self) -> None:
        """All is done: a request that comes now shall not look as if it had ended the process."""
        for name in STOP_SIGNALS:
            signal.signal(name, signal.SIG_IGN)


class Hand:
    """A process that fills a post."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def look(self) -> None:
        """Called ten times a second while it lives: may end it."""

    def is_leaving(self) -> bool:
        """Whether it finishes its last jobs, so that a new one may start beside it."""
        return False

    def ended(self, code: int) -> None:
        """Called once, after its death."""


class Post(Protocol):
    """One place to fill with a process."""

    name: str
    backoff_s: Sequence[float]

    def wanted(self) -> bool:
        """Whether an empty post shall be filled now."""

    def start(self, env: Mapping[str, str]) -> Hand:
        """Raises OSError when the machine has no room for one more process."""
        ...


class Command:
    """A post that is always filled with the same command line."""

    backoff_s: Sequence[float] = BACKOFF_S

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self._arguments = arguments

    def wanted(self) -> bool:
        return True

    def start(self, env: Mapping[str, str]) -> Hand:
        return Hand(spawn(self._arguments, env))


class Seat:
    """A post, the process that fills it now, and those before it that are leaving."""

    def __init__(self, post: Post, env: Mapping[str, str]) -> None:
        self.post = post
        self.hand: Hand | None = None
        self.leaving: list[Hand] = []
        self._env = env
        self._started_at = 0.0
        self._due_at = 0.0
        self._quick_deaths = 0

    def hands(self) -> list[Hand]:
        return [*self.leaving, *([] if self.hand is None else [self.hand])]

    def tend(self) -> None:
        self.watch()
        is_due = time.monotonic() >= self._due_at and len(self.leaving) < LEAVING_MAX
        if self.hand is None and is_due and self.post.wanted():
            self._start()

    def watch(self) -> None:
        """Look at every process, bury the dead."""
        for hand in self.hands():
            code = hand.process.poll()
            if code is not None:
                self._bury(hand, code)
                continue
            hand.look()
            if hand is self.hand and hand.is_leaving():
                log.info("%s (process %d) is leaving", self.post.name, hand.process.pid)
                self.leaving.append(hand)
                self.hand = None

    def _start(self) -> None:
        self._started_at = time.monotonic()
        try:
            self.hand = self.post.start(self._env)
        except OSError as error:
            log.warning("%s cannot start: %s", self.post.name, error)
            self._due_at = time.monotonic() + self.post.backoff_s[-1]

    def _bury(self, hand: Hand, code: int) -> None:
        hand.ended(code)
        if hand in self.leaving:
            self.leaving.remove(hand)
            return
        self.hand = None
        if code == 0:
            return
        lived_s = time.monotonic() - self._started_at
        self._quick_deaths = 0 if lived_s > HEALTHY_AFTER_S else self._quick_deaths + 1
        backoff_s = self.post.backoff_s
        wait_s = backoff_s[min(self._quick_deaths, len(backoff_s) - 1)]
        self._due_at = time.monotonic() + wait_s
        log.warning(
            "%s ended (%s); a new one starts in %.1f s", self.post.name, cause(code), wait_s
        )


class Supervisor:
    """Keeps every post filled until told to stop. Children stay in this process group."""

    def __init__(self, posts: Sequence[Post], env: Mapping[str, str]) -> None:
        self._seats = [Seat(post, env) for post in posts]
        self._request = StopRequest()

    def stop(self) -> None:
        self._request.ask()

    def run_until_signal(self) -> None:
        """Run until SIGTERM or SIGINT; for the main thread."""
        self._request.listen()
        self.run()
        self._request.close()

    def run(self) -> None:
        while not self._request.asked:
            for seat in self._seats:
                seat.tend()
            time.sleep(POLL_S)
        self._end()

    def _end(self) -> None:
        """Ask all to end, wait for them together, kill those that do not."""
        ask_to_end(self._hands())
        until, is_hurried = time.monotonic() + TERM_GRACE_S, False
        while self._hands():
            if self._request.hurry and not is_hurried:
                is_hurried, until = True, min(until, time.monotonic() + HURRY_S)
                ask_to_end(self._hands())
            if time.monotonic() > until:
                for hand in self._hands():
                    hand.process.kill()
                    hand.process.wait()
            for seat in self._seats:
                seat.watch()
            time.sleep(POLL_S)

    def _hands(self) -> list[Hand]:
        return [hand for seat in self._seats for hand in seat.hands()]


def ask_to_end(hands: Sequence[Hand]) -> None:
    for hand in hands:
        hand.process.terminate()


def spawn(
    arguments: Sequence[str], env: Mapping[str, str], *, pass_fds: Sequence[int] = ()
) -> "subprocess.Popen[bytes]":
    """Start `avivro ARGUMENTS`. Its standard input is a pipe that closes when we die."""
    command = [sys.executable, "-m", "workers", *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, env={**LEAN, **os.environ, **env}, pass_fds=pass_fds
    )


def cause(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
