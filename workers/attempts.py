"""An attempt of a job in this process, from its first step to its outcome in the ledger."""

import logging
import random
import time
from dataclasses import dataclass
from typing import Any

from db.jobs import Claimed, Finish
from workers import metrics, tracing
from workers.jobs import KINDS
from workers.ledger import Ledger
from workers.load import Load
from workers.log import begin_job, end_job
from workers.outcome import decide
from workers.witness import Witness

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that runs; `slot` is its place in the witness."""

    job: Claimed
    began_at: float
    slot: int
    span: tracing.Run | None


class Attempts:
    """Begins and ends those of one queue, each in the thread or task that runs it."""

    def __init__(self, ledger: Ledger, load: Load, witness: Witness) -> None:
        self._ledger = ledger
        self._load = load
        self._witness = witness

    def begin(self, job: Claimed, *, claimed_at: float) -> Attempt:
        begin_job(job)
        span = tracing.begin_run(job)
        began_at = time.monotonic()
        metrics.observe(metrics.CLAIM_TO_START, began_at - claimed_at, job.kind)
        slot = self._witness.began(job.id, at=began_at, limit_s=KINDS[job.kind].time_limit_s)
        return Attempt(job, began_at, slot, span)

    def end(
        self, attempt: Attempt, error: BaseException | None, result: dict[str, Any] | None
    ) -> None:
        """Note how it ended, and hand the outcome to the ledger."""
        job = attempt.job
        self._witness.ended(attempt.slot)
        took_s = time.monotonic() - attempt.began_at
        self._load.ended(job, ran=True)
        metrics.observe(metrics.DURATION, took_s, job.kind)
        luck = random.random()  # noqa: S311 - spreads retries, guards nothing
        finish = decide(job, error, plan=KINDS[job.kind].retry, luck=luck, result=result)
        if error is not None:
            tell(job, finish, error)
        if finish is not None:
            self._ledger.put(job, finish)
        if attempt.span is not None:
            attempt.span.end(None if finish is None else finish.state, error)
        end_job()


def tell(job: Claimed, finish: Finish | None, error: BaseException) -> None:
    what = "its lease was lost" if finish is None else finish.state
    log.warning(
        "job %d (%s), attempt %d: %s; %s: %s",
        job.id,
        job.kind,
        job.attempt,
        what,
        type(error).__name__,
        str(error).strip().partition("\n")[0],
    )
