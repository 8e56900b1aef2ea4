"""The composition root: what a job's pipeline works with, built once per process."""

from dataclasses import dataclass

from db.fence import Fence
from db.jobs import Claimed
from db.pool import Pool
from workers.config import Config
from workers.jobs import KINDS
from workers.outcome import burnt_attempts


class Toolbox:
    """Builds the heavy tools when a job first asks for them."""

    def __init__(self, config: Config, pool: Pool) -> None:
        self.config = config
        self.pool = pool

    def for_job(self, job: Claimed) -> "Tools":
        return Tools(
            db=Fence(self.pool, job.id, job.attempt),
            try_number=burnt_attempts(job, KINDS[job.kind].retry),
            box=self,
        )

    def close(self) -> None:
        self.pool.close()


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of one attempt. `try_number` counts from 1 and skips spared attempts."""

    db: Fence
    try_number: int
    box: Toolbox
