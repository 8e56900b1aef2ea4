"""What a job logs, as it is found beside its row."""

import logging
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import psycopg
import pytest

from db import job_logs
from db.job_logs import Line
from db.jobs import Claimed
from db.pool import Connection, Pool, open_pool
from tests.processes import wait_until
from workers.job_log import CUT, FULL, LINE_CHARS_MAX, LINES_MAX, LINES_WAITING_MAX, JobLog
from workers.log import about

TENANT = UUID("8c3f6a52-6f0e-4f0d-9f3e-0d6a1f1f9a11")
JOB = Claimed(4711, "probe", "default", TENANT, {}, attempt=2, max_attempts=3)

log = logging.getLogger("pipelines.somewhere")


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with closing(open_pool(database_url, size_max=2)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def at_info() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    yield
    root.setLevel(level)


@pytest.fixture
def kept(pool: Pool) -> Iterator[JobLog]:
    handler = JobLog(pool.connection, every_s=0.02)
    handler.start()
    yield handler
    handler.close()


def lines(conn: Connection) -> list[Line]:
    return job_logs.list_lines(conn, JOB.id)


def test_a_line_is_stored_while_the_job_still_runs(kept: JobLog, conn: Connection) -> None:
    with about(JOB):
        log.info("fetched %d bytes", 512)

        (line,) = wait_until(lambda: lines(conn), "the line")

    assert (line.attempt, line.level, line.logger) == (2, "INFO", "pipelines.somewhere")
    assert line.message == "fetched 512 bytes"


def test_lines_are_kept_in_order_with_traces(kept: JobLog, conn: Connection) -> None:
    with about(JOB):
        log.info("first")
        try:
            raise ValueError("broken")
        except ValueError:
            log.exception("second")
    kept.close()

    first, second = lines(conn)
    assert first.message == "first"
    assert second.message.startswith("second\nTraceback")
    assert second.message.endswith("ValueError: broken\n")


def test_what_is_no_jobs_or_below_info_is_not_kept(kept: JobLog, conn: Connection) -> None:
    log.info("of no job")
    with about(JOB):
        log.debug("too fine")
    kept.close()

    assert conn.execute("SELECT count(*) FROM worker.job_logs").fetchone() == (0,)


def test_an_attempt_keeps_so_many_lines_and_says_so(kept: JobLog, conn: Connection) -> None:
    with about(JOB):
        for number in range(LINES_MAX + 50):
            log.info("line %d", number)
    kept.close()

    found = [line.message for line in lines(conn)]
    assert found == [*(f"line {number}" for number in range(LINES_MAX)), FULL]


def test_a_long_line_is_cut_and_says_so(kept: JobLog, conn: Connection) -> None:
    with about(JOB):
        log.info("x" * 3 * LINE_CHARS_MAX)
    kept.close()

    (line,) = lines(conn)
    assert len(line.message) == LINE_CHARS_MAX
    assert line.message.endswith(CUT)


def test_what_postgres_cannot_store_is_stored_as_an_escape(kept: JobLog, conn: Connection) -> None:
    with about(JOB):
        log.info("a NUL \0 and a surrogate \ud800")
    kept.close()

    assert lines(conn)[0].message == r"a NUL \x00 and a surrogate \ud800"


def test_a_message_that_cannot_be_written_fails_no_job(
    kept: JobLog, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    with about(JOB):
        log.info("%s", Broken())
        log.info("next")
    kept.close()

    assert [line.message for line in lines(conn)] == ["next"]


def test_lines_wait_while_postgres_is_away(conn: Connection, pool: Pool) -> None:
    tries: list[int] = []

    def borrow() -> object:
        tries.append(1)
        if len(tries) < 3:
            raise psycopg.OperationalError("away")
        return pool.connection()

    handler = JobLog(borrow, every_s=0.02)  # type: ignore[arg-type]
    handler.start()
    with about(JOB):
        log.info("first")
        log.info("second")

    found = wait_until(lambda: lines(conn), "the lines")

    handler.close()
    assert [line.message for line in found] == ["first", "second"]


def test_the_newest_lines_stay_where_not_all_can_wait(pool: Pool) -> None:
    handler = JobLog(pool.connection)
    emitted = [
        logging.LogRecord("a", logging.INFO, "x", 1, str(number), (), None) for number in range(9)
    ]
    with about(JOB):
        for record in emitted:
            handler.emit(record)
    late = list(handler._waiting)[:5]
    handler._waiting.clear()
    handler._waiting.extend([late[0]] * (LINES_WAITING_MAX - 2))

    handler._put_back(late)

    assert len(handler._waiting) == LINES_WAITING_MAX
    assert [line.message for _, line in list(handler._waiting)[:3]] == ["3", "4", "0"]


def test_a_job_that_logs_nothing_wakes_nobody(kept: JobLog, conn: Connection) -> None:
    with about(JOB):
        pass

    assert not kept._some.is_set()
