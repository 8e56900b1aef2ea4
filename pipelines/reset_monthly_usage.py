"""The story of `reset_monthly_usage`: who begins a new period counts from nothing."""

import time
from typing import Any

from db import usage
from db.fence import Fence
from pipelines.batching import batches

BATCH_PROFILES = 200
# The next tick goes on where this one stopped.
DURATION_S_MAX = 240.0


def run(db: Fence, *, duration_s_max: float = DURATION_S_MAX) -> dict[str, Any]:
    """How many profiles began a period, and whether those were all that had to.

    A profile that is written to meanwhile is left out: its next message or the next tick ends the
    old period.
    """
    until = time.monotonic() + duration_s_max
    profiles = 0
    for count in batches(lambda: end_batch(db), rows_max=BATCH_PROFILES):
        profiles += count
        if time.monotonic() >= until:
            return {"profiles": profiles, "complete": False}
    return {"profiles": profiles, "complete": True}


def end_batch(db: Fence) -> int:
    """One short transaction."""
    with db.write() as conn:
        return usage.end_periods(conn, profiles_max=BATCH_PROFILES)
