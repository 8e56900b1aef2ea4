"""The story of `watch_health`: it arrives, and that is all. The watchdog looks when it last did."""

from typing import Any

from db import health
from db.fence import Fence


def run(db: Fence) -> dict[str, Any]:
    with db.write() as conn:
        flown_s = health.land_canary(conn, job_id=db.job_id)
    return {"flown_s": round(flown_s, 3)}
