"""The doorway of `reset_monthly_usage`."""

from typing import Any

from pipelines.reset_monthly_usage import run
from workers.actors import works
from workers.jobs import ResetMonthlyUsage
from workers.tools import Tools


@works(ResetMonthlyUsage)
def reset_monthly_usage(job: ResetMonthlyUsage, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
