"""The doorway of `aggregate_daily_stats`."""

from typing import Any

from pipelines.aggregate_daily_stats import run
from workers.actors import works
from workers.jobs import AggregateDailyStats
from workers.tools import Tools


@works(AggregateDailyStats)
def aggregate_daily_stats(job: AggregateDailyStats, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
