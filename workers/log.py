"""Logs go to standard error: standard output belongs to what a command answers.

Text for people; one JSON object a line for machines, where a process runs for long and standard
error is no terminal, or where LOG_FORMAT says so. What is logged while a job runs names the job.
"""

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol
from uuid import UUID

FORMAT = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"
JOB_FIELDS = ("job_id", "kind", "attempt", "tenant")

_CONTROLS = re.compile(r"[\0-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")


class Job(Protocol):
    """What a line says of its job."""

    @property
    def id(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def tenant(self) -> UUID | None: ...


@dataclass(slots=True)
class Subject:
    """The job that runs, and how many lines of it were kept."""

    job: Job
    lines: int = 0


SUBJECT: ContextVar[Subject | None] = ContextVar("subject", default=None)


def begin_job(job: Job) -> None:
    """What this thread logs from here on is about `job`."""
    SUBJECT.set(Subject(job))


def end_job() -> None:
    SUBJECT.set(None)


@contextmanager
def about(job: Job) -> Iterator[None]:
    """What is logged in the block is about `job`."""
    token = SUBJECT.set(Subject(job))
    try:
        yield
    finally:
        SUBJECT.reset(token)


def begin(*, verbose: bool = False) -> None:
    """Log as text, for a command that a person waits for."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.DEBUG if verbose else logging.INFO, force=True
    )
    logging.getLogger().handlers[0].setFormatter(Text(FORMAT, datefmt="%H:%M:%S"))
    # Dramatiq and the pool report what we report ourselves, in terms of jobs.
    for name in ("dramatiq", "psycopg.pool", "apscheduler"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("httpx", "httpx2", "openai", "asyncio", "urllib3", "wordllama", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)


def begin_process(role: str, *, chosen: str | None) -> None:
    """Log as a process that runs for long does; `chosen` is "json", "text" or None."""
    if chosen == "text" or (chosen is None and sys.stderr.isatty()):
        return
    logging.getLogger().handlers[0].setFormatter(Json(role))
    logging.captureWarnings(capture=True)
    sys.excepthook = tell_crash
    threading.excepthook = lambda crash: tell_crash(
        crash.exc_type, crash.exc_value, crash.exc_traceback
    )


def tell_crash(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    """What nobody caught is a line like any other."""
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        name = threading.current_thread().name
        logging.getLogger(__name__).critical(
            "%s ended by %s", name, kind.__name__, exc_info=(kind, error or kind(), trace)
        )


class Text(logging.Formatter):
    """A message is one line, whatever it repeats of what the world sent; a trace is several."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        record.message = _CONTROLS.sub(lambda found: repr(found[0])[1:-1], record.message)
        line = super().formatMessage(record)
        subject = SUBJECT.get()
        if subject is None or f"job {subject.job.id}" in line:
            return line
        return f"{line}  [job {subject.job.id}, {subject.job.kind}]"


class Json(logging.Formatter):
    """One object a line, in ASCII: NUL, line breaks and lone surrogates are escaped."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._process = {"role": role, "pid": os.getpid()}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": at(record).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message(record),
            **self._process,
            **job_fields(record),
        }
        if trace := trace_of(record):
            line["trace"] = trace
        return json.dumps(line, default=str)


def at(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def message(record: logging.LogRecord) -> str:
    """The message; where its arguments do not fit it, both as they are."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args!r}"


def trace_of(record: logging.LogRecord) -> str | None:
    if record.exc_info and record.exc_info[0] is not None:
        return "".join(traceback.format_exception(*record.exc_info))
    return record.stack_info


def job_fields(record: logging.LogRecord) -> dict[str, Any]:
    """From the line itself where it was logged with `extra`, else from the job that runs."""
    if "job_id" in record.__dict__:
        return {name: record.__dict__[name] for name in JOB_FIELDS if name in record.__dict__}
    subject = SUBJECT.get()
    if subject is None:
        return {}
    job = subject.job
    tenant = None if job.tenant is None else str(job.tenant)
    return {"job_id": job.id, "kind": job.kind, "attempt": job.attempt, "tenant": tenant}
