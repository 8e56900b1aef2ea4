"""What the platform wrote into email_logs by itself."""

from typing import Any

from db.pool import Connection
from pipelines.email.render import render


def mails(conn: Connection, email_type: str) -> list[dict[str, Any]]:
    """The data of the mails of a type, oldest first; each one renders."""
    rows = conn.execute(
        "SELECT template_id, template_data FROM public.email_logs WHERE email_type = %s"
        " AND to_email <> '' AND status = 'queued' ORDER BY created_at, id",
        (email_type,),
    ).fetchall()
    for template, data in rows:
        render(template, data, subject=None, app_url="https://app.example")
    return [data for _, data in rows]
