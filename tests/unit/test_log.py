"""Log lines: what they hold, and that each is one line."""

import json
import logging
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from workers import log
from workers.log import Json, Text, about

TENANT = UUID("8c3f6a52-6f0e-4f0d-9f3e-0d6a1f1f9a11")


@dataclass(frozen=True)
class Job:
    id: int = 4711
    kind: str = "probe"
    attempt: int = 2
    tenant: UUID | None = TENANT


def record(message: str = "hello", *args: object, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("a.b", logging.WARNING, "x.py", 1, message, args, None)
    made.created = datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=UTC).timestamp()
    made.__dict__.update(fields)
    return made


def line(made: logging.LogRecord) -> dict[str, Any]:
    text = Json("worker").format(made)
    assert len(text.splitlines()) == 1
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_a_line_says_when_who_and_what() -> None:
    parsed = line(record("%d jobs", 3))

    pid = parsed.pop("pid")
    assert isinstance(pid, int)
    assert parsed == {
        "at": "2026-01-02T03:04:05.006+00:00",
        "level": "WARNING",
        "logger": "a.b",
        "message": "3 jobs",
        "role": "worker",
    }


def test_a_line_of_a_job_names_it() -> None:
    with about(Job()):
        parsed = line(record())

    assert {name: parsed[name] for name in log.JOB_FIELDS} == {
        "job_id": 4711,
        "kind": "probe",
        "attempt": 2,
        "tenant": str(TENANT),
    }


def test_a_line_after_the_job_does_not_name_it() -> None:
    log.begin_job(Job())
    log.end_job()

    assert "job_id" not in line(record())


def test_a_line_may_name_a_job_that_this_thread_does_not_run() -> None:
    parsed = line(record(job_id=7, attempt=1))

    assert (parsed["job_id"], parsed["attempt"]) == (7, 1)


@pytest.mark.parametrize(
    "text", ["two\nlines", "a NUL \0", "a surrogate \ud800", "\u2028\x85\r\x1b["]
)
def test_no_text_breaks_a_line_or_is_lost(text: str) -> None:
    assert line(record("%s", text))["message"] == text


def test_a_message_whose_arguments_do_not_fit_is_shown_with_them() -> None:
    assert line(record("%d jobs", "three"))["message"] == "%d jobs ('three',)"


def test_a_trace_is_one_string() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        made = record()
        made.exc_info = sys.exc_info()

    trace = line(made)["trace"]
    assert trace.startswith("Traceback")
    assert trace.endswith("ValueError: first\nsecond\n")


def test_in_text_a_message_is_one_line_and_names_its_job() -> None:
    with about(Job()):
        text = Text("%(message)s").format(record("bad header: %s", "x\r\nfake line\x1b[2J"))

    assert text == "bad header: x\\r\\nfake line\\x1b[2J  [job 4711, probe]"
