"""The doorway of `erase_visitor`."""

from typing import Any

from pipelines.erase_visitor import run
from workers.actors import works
from workers.jobs import EraseVisitor
from workers.tools import Tools


@works(EraseVisitor)
def erase_visitor(job: EraseVisitor, tools: Tools) -> dict[str, Any]:
    return run(tools.db, request_id=job.request_id)
