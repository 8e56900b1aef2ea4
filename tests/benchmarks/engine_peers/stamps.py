"""What the peers' jobs do: note when they began, then wait as long as the run asks for.

Slot n of a shared file holds the time at which job n began: no lock, no system call a job. A
worker process learns of the run from its environment.
"""

import asyncio
import mmap
import os
import time
from functools import cache
from pathlib import Path
from struct import pack_into, unpack

SLOT_BYTES = 8
PATH = "BENCH_STAMPS"
SLEEP_MS = "BENCH_SLEEP_MS"


def work(number: int) -> None:
    stamp(number)
    if sleep_s():
        time.sleep(sleep_s())


async def work_async(number: int) -> None:
    stamp(number)
    if sleep_s():
        await asyncio.sleep(sleep_s())


def stamp(number: int) -> None:
    pack_into("d", board(), number * SLOT_BYTES, time.time())


@cache
def board() -> mmap.mmap:
    with Path(os.environ[PATH]).open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


@cache
def sleep_s() -> float:
    return float(os.environ[SLEEP_MS]) / 1000


def create(path: Path, jobs: int) -> None:
    """For the bench: a new board, on which no job has begun."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(jobs * SLOT_BYTES)


def read(path: Path) -> dict[int, float]:
    """When each job that has begun did so."""
    content = path.read_bytes()
    moments = unpack(f"{len(content) // SLOT_BYTES}d", content)
    return {number: moment for number, moment in enumerate(moments) if moment}
