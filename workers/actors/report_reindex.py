"""The doorway of `report_reindex`."""

from pipelines.report_reindex import run
from workers.actors import works
from workers.jobs import ReportReindex
from workers.tools import Tools


@works(ReportReindex)
def report_reindex(job: ReportReindex, tools: Tools) -> None:
    run(tools.db, agent_id=job.agent_id, waited=tools.waited)
