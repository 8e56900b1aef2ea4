"""The doorway of `check_usage_limits`."""

from typing import Any

from pipelines.check_usage_limits import run
from workers.actors import works
from workers.jobs import CheckUsageLimits
from workers.tools import Tools


@works(CheckUsageLimits)
def check_usage_limits(job: CheckUsageLimits, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
