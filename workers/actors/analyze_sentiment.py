"""The doorway of `analyze_sentiment`."""

from typing import Any

from pipelines.analyze_sentiment import Desk, run
from workers.actors import works
from workers.jobs import AnalyzeSentiment, kind_of
from workers.tools import Tools


@works(AnalyzeSentiment)
def analyze_sentiment(job: AnalyzeSentiment, tools: Tools) -> dict[str, Any]:
    is_last_try = tools.try_number >= kind_of(job).max_attempts
    desk = Desk(tools.db, tools.sentiment_judge, tools.local_judge, is_last_try)
    return run(desk, agent_id=job.agent_id)
