"""`avivro emails list`, `show` and `settle`, as an operator uses them."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from db import emails
from db.pool import Connection
from tests.fakes_smtp import fake_smtp
from tests.processes import Avivro
from workers import config
from workers.cli.operations import check_mail


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


@pytest.mark.parametrize(
    ("password", "ok", "words"),
    [("secret", True, "signed in as jane"), ("wrong", False, "check EMAIL_URL")],
)
def test_the_doctor_signs_in_at_the_mail_server(password: str, ok: bool, words: str) -> None:
    with fake_smtp(users={"jane": "secret"}) as smtp:
        found = config.read({"EMAIL_URL": smtp.url(f"jane:{password}")})

        check = check_mail(found)

    assert (check[1], words in check[2], password in check[2]) == (ok, True, False)
    assert smtp.mailbox == []


def test_the_doctor_says_where_mails_are_files(tmp_path: Path) -> None:
    check = check_mail(config.read({"AVIVRO_HOME": str(tmp_path)}))

    assert check == ("mail", True, f"mails are files in {tmp_path / 'mail'}")
