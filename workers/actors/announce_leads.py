"""The doorway of `announce_leads`."""

from typing import Any

from pipelines.announce_leads import run
from workers.actors import works
from workers.jobs import AnnounceLeads
from workers.tools import Tools


@works(AnnounceLeads)
def announce_leads(job: AnnounceLeads, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
