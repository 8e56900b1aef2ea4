"""The story of `probe_webhooks`: disabled endpoints are tried, and activated when they answer.

A probe is an event webhook.test: signed, bounded and shown to its owner like any delivery.
"""

from typing import Any

from db import webhook_probes
from db.fence import Fence

HOUR_S = 3_600.0
# Before each probe. Ten days in all: who has not come back by then is gone, or will say so.
WAITS_S = tuple(hours * HOUR_S for hours in (1, 2, 4, 8, 16, *[24] * 9))
# The next tick goes on where this one stopped: so many tests in five minutes weigh nothing.
PROBES_MAX = 100
ROWS_MAX = 1_000


def run(db: Fence) -> dict[str, Any]:
    """How many were activated, and how many were tried."""
    with db.write() as conn:
        activated = webhook_probes.revive(conn, rows_max=ROWS_MAX)
    with db.write() as conn:
        webhook_probes.end_attempts(conn, rows_max=ROWS_MAX)
        webhook_probes.begin(conn, wait_s=WAITS_S[0], rows_max=ROWS_MAX)
        probed = webhook_probes.send_due(conn, waits_s=WAITS_S, rows_max=PROBES_MAX)
    return {"activated": activated, "probed": probed}
