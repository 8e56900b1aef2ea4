"""`avivro emails list`, `show` and `settle`, as an operator uses them."""

import json
from uuid import uuid4

from psycopg.types.json import Jsonb

from db import emails
from db.pool import Connection
from tests.processes import Avivro


def test_an_uncertain_mail_is_found_looked_at_and_settled(
    conn: Connection, commands: Avivro
) -> None:
    attachments = [{"filename": "a.pdf", "content": "AAAA"}]
    row = conn.execute(
        "INSERT INTO public.email_logs (to_email, email_type, status, template_data)"
        " VALUES ('jane@example.com', 'welcome', 'uncertain', %s) RETURNING id",
        [Jsonb({"attachments": attachments})],
    ).fetchone()
    assert row is not None
    email_id = row[0]

    listed = json.loads(commands.run("emails", "list", "--status", "uncertain", "--json").stdout)
    looked_at = json.loads(commands.run("emails", "show", str(email_id), "--json").stdout)
    settled = commands.run("emails", "settle", str(email_id), "resend")
    again = commands.run("emails", "settle", str(email_id), "sent")
    unknown = commands.run("emails", "show", str(uuid4()))

    assert [mail["id"] for mail in listed] == [str(email_id)]
    assert looked_at["status"] == "uncertain"
    assert looked_at["template_data"] == {"attachments": [{"filename": "a.pdf"}]}
    assert "is queued" in settled.stdout
    found = emails.get_email(conn, email_id)
    assert found is not None
    assert found["job_id"] is not None
    assert (again.returncode, "nothing to settle" in again.stderr) == (1, True)
    assert (unknown.returncode, "there is no email" in unknown.stderr) == (1, True)
