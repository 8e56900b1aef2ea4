"""The doorway of `probe_webhooks`."""

from typing import Any

from pipelines.probe_webhooks import run
from workers.actors import works
from workers.jobs import ProbeWebhooks
from workers.tools import Tools


@works(ProbeWebhooks)
def probe_webhooks(job: ProbeWebhooks, tools: Tools) -> dict[str, Any]:
    return run(tools.db)
