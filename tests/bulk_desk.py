"""Jobs to act on, and an operator's browser that previews and sends."""

import html
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from db.pool import Connection
from tests.dashboard_world import Browser
from tests.queueing import state

HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
BULK_FORM = re.compile(r'<form method="post" action="/jobs/bulk".*?</form>', re.DOTALL)
SENDS_MAX = 5
ROW = re.compile(r'id="job-(\d+)"')


def discard(conn: Connection, number: int, error: str = "boom", **columns: Any) -> list[int]:
    """Finished without success: probes of the queue default."""
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", %({name})s" for name in columns)
    return [
        row[0]
        for row in conn.execute(
            f"INSERT INTO worker.jobs (kind, queue, state, attempt, max_attempts, errors,"
            f" finished_at{names}) SELECT 'probe', 'default', 'discarded', 3, 3, jsonb_build_array("
            f"jsonb_build_object('error', %(error)s::text)), clock_timestamp(){values}"
            f" FROM generate_series(1, %(number)s) RETURNING id".encode(),
            {"error": error, "number": number, **columns},
        ).fetchall()
    ]


def preview(browser: Browser, address: str) -> dict[str, str]:
    """The fields of the form that a preview offers; empty where it offers none."""
    found = BULK_FORM.search(browser.get(address))
    return {} if found is None else {k: html.unescape(v) for k, v in HIDDEN.findall(found[0])}


def send(browser: Browser, fields: dict[str, str], **more: object) -> str:
    """The form as it was offered, with a reason; where it leads to."""
    status, text = browser.send("/jobs/bulk", **{"why": "because a test asks", **fields, **more})
    assert status == 303, text[:3000]
    return text


def send_again(browser: Browser, fields: dict[str, str], **more: object) -> None:
    """As an operator does who is told that others hold these jobs."""
    for _ in range(SENDS_MAX):
        status, text = browser.send("/jobs/bulk", **{"why": "because", **fields, **more})
        if status != 503:
            break
    assert status == 303, text[:3000]


def shown(page: str) -> list[int]:
    return [int(number) for number in ROW.findall(page)]


def states(conn: Connection, ids: list[int]) -> Counter[str]:
    return Counter(state(conn, job_id) for job_id in ids)


def run_all(works: list[Callable[[], object]]) -> None:
    """Each in its own thread; raises what one of them raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below, where pytest sees it
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    if errors:
        raise errors[0]
