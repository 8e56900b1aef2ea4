"""Rows of email_logs become mail in a mailbox of a real Postfix, over STARTTLS and with AUTH."""

from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.header import decode_header, make_header
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
import redis
from psycopg.types.json import Jsonb

from db.embedded import Services
from db.pool import Connection, connect
from tests.conftest import fresh_database
from tests.fakes_tls import certify, make_authority
from tests.outside.postfix import DOMAIN, PASSWORD, USER, Postfix, postfix
from tests.processes import Avivro, avivro, wait_until

NAME = "Åse Øygård-Nuñez 🚀 " + "of a family with a very long name " * 3
SENDER = "no-reply@sender.test"


@dataclass
class Office:
    """A worker that sends through Postfix."""

    conn: Connection
    postfix: Postfix
    commands: Avivro

    def queue(self, to: str, **columns: Any) -> UUID:
        values = {"to_email": to, "email_type": "welcome", **columns}
        names, places = ", ".join(values), ", ".join(f"%({name})s" for name in values)
        statement = f"INSERT INTO public.email_logs ({names}) VALUES ({places}) RETURNING id"
        row = self.conn.execute(statement.encode(), values).fetchone()
        assert row is not None
        return UUID(str(row[0]))

    def row(self, email_id: UUID) -> dict[str, Any]:
        row = self.conn.execute(
            "SELECT to_jsonb(e) FROM public.email_logs AS e WHERE id = %s", (email_id,)
        ).fetchone()
        assert row is not None
        found: dict[str, Any] = row[0]
        return found

    def wait_for(self, email_id: UUID, status: str) -> dict[str, Any]:
        def settled() -> dict[str, Any] | None:
            row = self.row(email_id)
            return None if row["status"] in ("queued", "sending") else row

        row = wait_until(settled, "the mail is no longer queued")
        assert row["status"] == status, (row, self.postfix.log())
        return row


@pytest.fixture(scope="module")
def office(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    assert services.redis_url is not None
    folder = tmp_path_factory.mktemp("office")
    authority = make_authority(folder)
    certificate = certify("127.0.0.1", folder, signed_by=authority).read_bytes()
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as conn,
        postfix(certificate) as serving,
        avivro(
            folder / "run",
            DATABASE_URL=url,
            REDIS_URL=services.redis_url,
            AVIVRO_HOME=str(folder / "home"),
            EMAIL_URL=mail_url(serving),
            EMAIL_FROM=f"Avivro <{SENDER}>",
            SSL_CERT_FILE=str(authority.file),
        ) as commands,
    ):
        commands.start("dispatcher")
        commands.start("worker", "--queue", "email")
        yield Office(conn, serving, commands)


def mail_url(serving: Postfix, password: str = PASSWORD) -> str:
    return f"smtp://{USER}:{quote(password, safe='')}@127.0.0.1:{serving.port}"


def test_a_queued_row_lies_in_the_mailbox_whole(office: Office) -> None:
    email_id = office.queue(
        f"{NAME} <ase@{DOMAIN}>",
        subject=f"Velkommen, {NAME}!",
        template_id="welcome",
        template_data=Jsonb({"full_name": NAME}),
    )

    row = office.wait_for(email_id, "sent")
    (mail,) = wait_until(lambda: office.postfix.mail(f"ase@{DOMAIN}"), "it lies in the mailbox")

    assert row["provider_message_id"] == mail["Message-ID"]
    assert mail["Subject"] == f"Velkommen, {NAME}!"
    assert mail["From"].addresses[0].addr_spec == SENDER
    assert mail["To"].addresses[0].addr_spec == f"ase@{DOMAIN}"
    assert words_of(office.postfix, "To") == f"{NAME.strip()} <ase@{DOMAIN}>"
    html, text = mail.get_body(("html",)), mail.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert mail.get_content_type() == "multipart/alternative"
    assert "Åse Øygård-Nuñez 🚀" in text.get_content()
    assert "Åse Øygård-Nuñez 🚀" in html.get_content()
    # Encrypted and signed in (RFC 3848).
    assert "with ESMTPSA" in mail["Received"]


def words_of(serving: Postfix, header: str) -> str:
    """As a mail program reads it: the library's newer parser cuts long names into pieces."""
    (raw,) = serving.raw()
    return str(make_header(decode_header(message_from_bytes(raw)[header])))


def test_no_line_of_it_is_longer_than_mail_may_be(office: Office) -> None:
    office.queue(
        f"lines@{DOMAIN}", template_id="welcome", template_data=Jsonb({"full_name": NAME * 20})
    )

    wait_until(lambda: office.postfix.mail(f"lines@{DOMAIN}"), "it lies in the mailbox")

    lines = [line for raw in office.postfix.raw() for line in raw.split(b"\n")]
    assert max(map(len, lines)) <= 998
    assert all(line.isascii() for line in lines)


def test_what_the_server_refuses_for_good_has_failed_with_its_words(office: Office) -> None:
    email_id = office.queue("ola@elsewhere.test", template_data=Jsonb({"full_name": "Ola"}))

    row = office.wait_for(email_id, "failed")

    assert "Relay access denied" in row["error_message"]
    assert row["sent_at"] is None
