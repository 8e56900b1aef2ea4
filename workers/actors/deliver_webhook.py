"""The doorway of `deliver_webhook`."""

from typing import Any

from db.deliveries import Asked
from pipelines.deliver_webhook import run
from workers.actors import works
from workers.jobs import DeliverWebhook
from workers.tools import Tools


@works(DeliverWebhook)
async def deliver_webhook(job: DeliverWebhook, tools: Tools) -> dict[str, Any] | None:
    asked = Asked(tools.db.job_id, tools.db.attempt, job.delivery_id)
    return await run(tools.box.deliveries, asked)
