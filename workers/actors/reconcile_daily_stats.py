"""The doorway of `reconcile_daily_stats`."""

from typing import Any
from uuid import uuid4

from pipelines.reconcile_daily_stats import run
from workers import metrics
from workers.actors import works
from workers.jobs import ReconcileDailyStats
from workers.tools import Tools


@works(ReconcileDailyStats)
def reconcile_daily_stats(job: ReconcileDailyStats, tools: Tools) -> dict[str, Any]:
    result = run(tools.db, begin=uuid4())
    metrics.count(metrics.STATS_DIFFERENCES, by=result["differences"])
    return result
