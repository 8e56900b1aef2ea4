"""The story of `probe`: sleep, burn, fail or crash as asked, and leave a mark of success."""

import os
import signal
import time

from db import jobs
from db.fence import Fence
from pipelines.errors import Permanent, Transient

STEP_S = 0.05
DURATION_MS_MAX = 3_600_000


def run(
    db: Fence, *, sleep_ms: int, cpu_ms: int, fails: bool, effect: str | None, crash: bool
) -> None:
    """Raises Transient when it shall fail, Permanent for a duration outside its limits."""
    if not 0 <= sleep_ms <= DURATION_MS_MAX or not 0 <= cpu_ms <= DURATION_MS_MAX:
        raise Permanent(f"a probe takes 0 to {DURATION_MS_MAX} ms, not {sleep_ms} and {cpu_ms}")
    if crash:
        os.kill(os.getpid(), signal.SIGKILL)
    if sleep_ms:
        sleep(db, sleep_ms / 1000)
    if cpu_ms:
        burn(db, cpu_ms / 1000)
    if fails:
        raise Transient("the probe was asked to fail")
    if effect is not None:
        with db.write() as conn:
            jobs.append_effect(conn, effect=effect, job_id=db.job_id, attempt=db.attempt)


def sleep(db: Fence, duration_s: float) -> None:
    """Sleep in steps, so that a time limit or a cancellation can end it."""
    until = time.monotonic() + duration_s
    while (left_s := until - time.monotonic()) > 0:
        db.check()
        time.sleep(min(STEP_S, left_s))


def burn(db: Fence, duration_s: float) -> None:
    until = time.thread_time() + duration_s
    while time.thread_time() < until:
        db.check()
        sum(range(1000))
