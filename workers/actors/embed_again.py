"""The doorway of `embed_again`."""

from typing import Any

from pipelines.embed_again import run
from pipelines.index_source import Desk
from workers.actors import works
from workers.jobs import EmbedAgain
from workers.tools import Tools


@works(EmbedAgain)
def embed_again(job: EmbedAgain, tools: Tools) -> dict[str, Any]:
    desk = Desk(tools.db, tools.reading, tools.embedder_for)
    return run(desk, source_id=job.source_id, model=job.model)
