"""Keeps what a job logs where its row is: in worker.job_logs, capped, a moment later.

Nothing here makes a job wait or fail. A process that is killed takes the lines of its last
STORE_EVERY_S with it; while Postgres is away the newest LINES_WAITING_MAX wait.
"""

import logging
import threading
from collections import deque

import psycopg

from db import job_logs
from db.job_logs import Line
from workers.log import SUBJECT, at, message, trace_of
from workers.metrics import Borrow

LINES_MAX = 200
LINE_CHARS_MAX = 2_000
LINES_WAITING_MAX = 5_000
STORE_EVERY_S = 1.0
CLOSE_S = 3.0
CUT = f"... (cut: the limit of a line is {LINE_CHARS_MAX:,} characters)"
FULL = f"the log of this attempt ends here: its limit is {LINES_MAX} lines"

log = logging.getLogger(__name__)


class JobLog(logging.Handler):
    """The handler takes lines; `start` begins the thread that stores them."""

    def __init__(self, borrow: Borrow, *, every_s: float = STORE_EVERY_S) -> None:
        super().__init__(level=logging.INFO)
        self._borrow = borrow
        self._every_s = every_s
        self._waiting: deque[tuple[int, Line]] = deque(maxlen=LINES_WAITING_MAX)
        self._some = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="job log", daemon=True)

    def start(self) -> None:
        logging.getLogger().addHandler(self)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        subject = SUBJECT.get()
        if subject is None or subject.lines > LINES_MAX:
            return
        subject.lines += 1
        try:
            text = FULL if subject.lines > LINES_MAX else capped(written(record))
        except Exception:  # noqa: BLE001 - a message that cannot be written fails no job
            self.handleError(record)
            return
        line = Line(subject.job.attempt, at(record), record.levelname, record.name, text)
        self._waiting.append((subject.job.id, line))
        self._some.set()

    def close(self) -> None:
        """Store what waits, at the process' orderly end; also called by logging's own."""
        self._ended.set()
        self._some.set()
        logging.getLogger().removeHandler(self)
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)
        super().close()

    def _run(self) -> None:
        # Sleeps for good while no job logs anything.
        while not self._ended.is_set():
            self._some.wait()
            self._ended.wait(self._every_s)
            self._some.clear()
            self._store()

    def _store(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        try:
            with self._borrow() as conn:
                job_logs.copy_lines(conn, lines)
        except psycopg.OperationalError:
            self._put_back(lines)
        except psycopg.Error as error:
            log.warning("%d lines of jobs could not be stored: %s", len(lines), error)

    def _put_back(self, lines: list[tuple[int, Line]]) -> None:
        """In front of those that came meanwhile; where not all fit, the oldest go."""
        room = LINES_WAITING_MAX - len(self._waiting)
        self._waiting.extendleft(reversed(lines[max(0, len(lines) - room) :]))
        self._some.set()


def written(record: logging.LogRecord) -> str:
    trace = trace_of(record)
    return message(record) if trace is None else f"{message(record)}\n{trace}"


def capped(text: str) -> str:
    """What Postgres can store, within the limit: NULs and lone surrogates as escapes."""
    if len(text) > LINE_CHARS_MAX:
        text = text[: LINE_CHARS_MAX - len(CUT)] + CUT
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
