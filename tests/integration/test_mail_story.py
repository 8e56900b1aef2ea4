"""A mail from its row to its reader and back: what is in it leads where it says."""

import http.client
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from db.pool import Connection
from pipelines.email.keys import parse_keys
from pipelines.email.links import Links
from pipelines.gateways.mail import read_route
from pipelines.gateways.mail_transports import open_transport
from tests.fakes_smtp import FakeSmtp, fake_smtp
from tests.integration.mail_world import eventually, row, serving
from tests.mailing import Mailing

KEY = "a-key-of-the-tests-that-is-long-enough"
LINKS = Links("https://mail.example.com", parse_keys(KEY))
PERSON = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture
def smtp() -> Iterator[FakeSmtp]:
    with fake_smtp() as fake:
        yield fake


@pytest.fixture
def mailing(conn: Connection, database_url: str, smtp: FakeSmtp) -> Mailing:
    route = read_route(smtp.url(), home=Path("/nowhere"))
    return Mailing(conn, database_url, open_transport(route), links=LINKS)


def ask(port: int, link: str, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
    """The status, and where it leads."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"User-Agent": PERSON, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request(method, link.removeprefix(LINKS.public_url), body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers["Location"] or ""


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())


def test_a_mail_is_opened_followed_and_ended(
    mailing: Mailing, smtp: FakeSmtp, database_url: str
) -> None:
    lead = {"agent_name": "Shop", "lead_name": "Ann", "action_url": "https://app.example.com/leads"}
    email_id = mailing.write(email_type="new_lead", template_data=lead)
    mailing.attempt()
    mailing.conn.execute("UPDATE email_logs SET sent_at = now() - interval '1 minute'")
    message = smtp.mailbox[0].message
    page, header = part(message, "html"), str(message["List-Unsubscribe"])

    with serving(database_url, public_url=LINKS.public_url, link_signing_key=KEY) as port:
        (pixel,) = re.findall(r'src="(https://mail\.example\.com/e/o/[^"]+)"', page)
        opened = ask(port, pixel)
        eventually(lambda: row(mailing.conn, email_id).status == "opened")
        clicks = re.findall(r'href="(https://mail\.example\.com/e/c/[^"]+)"', page)
        followed = ask(port, clicks[0])
        eventually(lambda: row(mailing.conn, email_id).status == "clicked")
        left = ask(port, header.strip("<>"), "POST", b"List-Unsubscribe=One-Click")

    again = mailing.write(email_type="new_lead", template_data=lead)
    mailing.attempt()
    assert (opened[0], followed, left[0]) == (200, (302, lead["action_url"]), 200)
    assert header.strip("<>") in page
    assert header.strip("<>") in part(message, "plain")
    assert mailing.row(again)["status"] == "failed"
    assert "unsubscribed" in mailing.row(again)["error_message"]
    assert len(smtp.mailbox) == 1


def test_mail_about_an_account_carries_nothing_of_ours(mailing: Mailing, smtp: FakeSmtp) -> None:
    mailing.write(email_type="invoice", template_data={"invoice_number": "1", "total": 9})

    mailing.attempt()

    assert b"mail.example.com" not in smtp.mailbox[0].content
    assert smtp.mailbox[0].message["List-Unsubscribe"] is None
