"""The doorway of `send_email`."""

from typing import Any

from pipelines.send_email import Desk, run
from workers.actors import works
from workers.jobs import SendEmail
from workers.tools import Tools


@works(SendEmail)
def send_email(job: SendEmail, tools: Tools) -> dict[str, Any]:
    box = tools.box
    desk = Desk(tools.db, box.mail, box.sender, box.links)
    return run(desk, email_id=job.email_id)
