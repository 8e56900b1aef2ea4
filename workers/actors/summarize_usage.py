"""The doorway of `summarize_usage`."""

from typing import Any

from pipelines.summarize_usage import run
from workers import metrics
from workers.actors import works
from workers.jobs import SummarizeUsage
from workers.tools import Tools


@works(SummarizeUsage)
def summarize_usage(job: SummarizeUsage, tools: Tools) -> dict[str, Any]:
    result = run(tools.db, everybody=bool(job.everybody))
    metrics.count(metrics.USAGE_DIFFERENCES, by=result["differences"])
    return result
