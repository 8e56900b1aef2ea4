"""The pixel, the links and the way out of mails: over HTTP, on a real database."""

import http.client
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from db import suppressions
from db.embedded import Services
from db.pool import Connection, connect
from pipelines.email.keys import parse_keys
from pipelines.email.links import Links, encode, sign
from pipelines.email.mailbox import normalise
from tests.conftest import fresh_database
from tests.integration.mail_world import Row, away, events, eventually, row, send, serving
from tests.integration.schema_world import OTHER, OWNER, acting_as, sign_up

KEY = "a-key-of-the-tests-that-is-long-enough"
LINKS = Links("https://mail.example.com", parse_keys(KEY))
PERSON = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Safari/605.1.15"
)
TARGET = "https://app.example.com/leads?id=1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ONE_CLICK = b"List-Unsubscribe=One-Click"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(frozen=True)
class Client:
    """Asks for what a link leads to, as a person's browser does unless it is told otherwise."""

    port: int

    def ask(
        self,
        link: str,
        *,
        method: str = "GET",
        agent: str = PERSON,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        path = link.removeprefix(LINKS.public_url)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {"User-Agent": agent} | (headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())

    def leave(self, link: str, body: bytes = ONE_CLICK, **headers: str) -> Answer:
        return self.ask(link, method="POST", body=body, headers=FORM | headers)


@pytest.fixture(scope="module")
def place(services: Services, template: str) -> Iterator[str]:
    """One database for the module: every test has mails of its own."""
    with fresh_database(services, template=template) as url:
        with connect(url, autocommit=True) as conn:
            sign_up(conn, OWNER, "owner@example.com")
            sign_up(conn, OTHER, "other@example.com")
        yield url


@pytest.fixture
def conn(place: str) -> Iterator[Connection]:
    with connect(place, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def client(place: str) -> Iterator[Client]:
    settings = {"public_url": LINKS.public_url, "link_signing_key": f"{KEY},{'old' * 11}"}
    with serving(place, **settings) as port:
        yield Client(port)


SENT = Row("sent", delivered=False, opened=False, clicked=False)
OPENED = Row("opened", delivered=False, opened=True, clicked=False)
CLICKED = Row("clicked", delivered=False, opened=True, clicked=True)


def test_a_person_who_opens_a_mail_is_seen(client: Client, conn: Connection) -> None:
    email_id = send(conn)

    answer = client.ask(LINKS.pixel(email_id))

    assert (answer.status, answer.body[:10]) == (200, b"GIF89a\x01\x00\x01\x00")
    assert answer.headers["Content-Type"] == "image/gif"
    assert "no-store" in answer.headers["Cache-Control"]
    eventually(lambda: row(conn, email_id) == OPENED)


@pytest.mark.parametrize(
    ("agent", "method"),
    [
        ("Mozilla/5.0", "GET"),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com "
         "GoogleImageProxy)", "GET"),
        ("Barracuda Sentinel (EE)", "GET"),
        (PERSON, "HEAD"),
    ],
)  # fmt: skip
def test_a_machine_that_opens_is_noted_and_no_more(
    client: Client, conn: Connection, agent: str, method: str
) -> None:
    email_id = send(conn)

    answer = client.ask(LINKS.pixel(email_id), agent=agent, method=method)

    assert answer.status == 200
    eventually(lambda: events(conn, email_id) == [("opened", True)])
    assert row(conn, email_id) == SENT


def test_an_opening_right_after_sending_is_a_machines(client: Client, conn: Connection) -> None:
    email_id = send(conn, ago_s=0)

    client.ask(LINKS.pixel(email_id))

    eventually(lambda: events(conn, email_id) == [("opened", True)])
    assert row(conn, email_id) == SENT


@pytest.mark.parametrize("token", ["", "x", "a" * 5_000, "../../x", "%00", "%0d%0aSet-Cookie:%20a"])
def test_a_bad_pixel_is_a_picture_too(client: Client, token: str) -> None:
    answer = client.ask(f"{LINKS.public_url}/e/o/{token}")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/gif")


def test_a_click_leads_on_and_is_seen(client: Client, conn: Connection) -> None:
    email_id = send(conn)

    answer = client.ask(LINKS.click(email_id, f"{TARGET}&q=\u00fc"))

    assert (answer.status, answer.headers["Location"]) == (302, f"{TARGET}&q=%C3%BC")
    assert "no-store" in answer.headers["Cache-Control"]
    assert "noindex" in answer.headers["X-Robots-Tag"]
    eventually(lambda: row(conn, email_id) == CLICKED)


def test_the_first_click_wins(client: Client, conn: Connection) -> None:
    email_id = send(conn)
    link = LINKS.click(email_id, TARGET)
    client.ask(link)
    eventually(lambda: row(conn, email_id) == CLICKED)
    query = "SELECT clicked_at, opened_at FROM email_logs WHERE id = %s"
    first = conn.execute(query, (email_id,)).fetchone()

    client.ask(link)
    client.ask(LINKS.pixel(email_id))

    eventually(lambda: len(events(conn, email_id)) == 3)
    assert conn.execute(query, (email_id,)).fetchone() == first
    assert row(conn, email_id) == CLICKED


def test_a_scanner_follows_all_links_and_is_led_on(client: Client, conn: Connection) -> None:
    email_id = send(conn)
    links = [LINKS.click(email_id, f"{TARGET}{n}", among=3) for n in range(3)]

    answers = [client.ask(link).status for link in links]

    assert answers == [302, 302, 302]
    eventually(lambda: events(conn, email_id) == [("clicked", True)] * 3)
    assert row(conn, email_id) == SENT


def forged(purpose: str, body: bytes, *, key: bytes = b"f" * 32) -> str:
    return f"{LINKS.public_url}/e/{purpose}/{encode(sign(key, purpose, body) + body)}"


BAD_CLICKS = {
    "empty": f"{LINKS.public_url}/e/c/",
    "a pixel's": LINKS.pixel(OWNER).replace("/e/o/", "/e/c/"),
    "an unsubscription's": LINKS.unsubscribe("a@b.example", "tips", None).replace("/e/u/", "/e/c/"),
    "cut off": LINKS.click(OWNER, TARGET)[:-5],
    "changed": LINKS.click(OWNER, TARGET)[:-5] + "AAAAA",
    "another key's": forged("c", OWNER.bytes + b"\x01" + TARGET.encode()),
    "a script, signed": forged("c", OWNER.bytes + b"\x01javascript:alert(1)", key=KEY.encode()),
    "a header, signed": forged(
        "c", OWNER.bytes + b"\x01https://a.example/\r\nSet-Cookie: a=b", key=KEY.encode()
    ),
    "a plain address": f"{LINKS.public_url}/e/c/https://evil.example/",
    "a parameter": f"{LINKS.public_url}/e/c/x?url=https://evil.example/",
    "endless": f"{LINKS.public_url}/e/c/{'A' * 50_000}",
    "junk": f"{LINKS.public_url}/e/c/%00%ff%0d%0aLocation:%20https://evil.example",
}


@pytest.mark.parametrize("link", BAD_CLICKS.values(), ids=BAD_CLICKS)
def test_nothing_that_we_did_not_sign_leads_anywhere(client: Client, link: str) -> None:
    answer = client.ask(link)

    assert answer.status == 404
    assert answer.headers["Location"] is None
    assert answer.headers["Set-Cookie"] is None
    assert b"This link does not work" in answer.body


def leave_link(email_id: UUID, address: str, category: str = "leads") -> str:
    return LINKS.unsubscribe(address, category, OWNER, email_id=email_id)


def suppressed(conn: Connection, address: str, category: str, user: UUID | None = OWNER) -> bool:
    return suppressions.find(conn, normalise(address), category, user_id=user) is not None


def test_looking_at_the_way_out_ends_nothing(client: Client, conn: Connection) -> None:
    email_id = send(conn)
    address = f"{email_id}@example.com"
    link = leave_link(email_id, address)

    answers = [client.ask(link), client.ask(link, method="HEAD")]

    assert [answer.status for answer in answers] == [200, 200]
    page = answers[0].body.decode()
    assert re.search(r'<form method="post">.*List-Unsubscribe.*<button', page, re.DOTALL)
    assert "<script" not in page
    assert 'content="noindex, nofollow"' in page
    assert answers[0].headers["Set-Cookie"] is None
    assert not suppressed(conn, address, "leads")


MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
)


@pytest.mark.parametrize(
    ("body", "kind"),
    [(ONE_CLICK, FORM["Content-Type"]), (MULTIPART, "multipart/form-data; boundary=b")],
)
def test_one_click_ends_one_category_of_one_user(
    client: Client, conn: Connection, body: bytes, kind: str
) -> None:
    address = f"{uuid4()}@B\u00dcCHER.example"
    email_id = send(conn, to=f"Max <{address}>")

    answer = client.leave(leave_link(email_id, address), body, **{"Content-Type": kind})

    assert answer.status == 200
    assert answer.headers["Set-Cookie"] is None
    assert b"You are unsubscribed" in answer.body
    assert suppressed(conn, address, "leads")
    assert not suppressed(conn, address, "digest")
    assert not suppressed(conn, address, "leads", OTHER)
    assert not suppressed(conn, address, "account")
    (listed,) = suppressions.list_suppressions(conn, address=normalise(address), rows_max=10)
    assert (listed.reason, listed.email_id, listed.user_id) == ("unsubscribed", email_id, OWNER)


def test_unsubscribing_twice_is_unsubscribing(client: Client, conn: Connection) -> None:
    email_id = send(conn)
    address = f"{email_id}@example.com"
    link = leave_link(email_id, address)

    answers = [client.leave(link).status for _ in range(2)]

    assert answers == [200, 200]
    assert len(suppressions.list_suppressions(conn, address=address, rows_max=10)) == 1
    assert events(conn, email_id) == [("unsubscribed", False)]


def test_an_address_is_remembered_though_its_mail_is_gone(client: Client, conn: Connection) -> None:
    address = f"{uuid4()}@example.com"

    answer = client.leave(leave_link(uuid4(), address))

    assert answer.status == 200
    assert suppressed(conn, address, "leads")
    (listed,) = suppressions.list_suppressions(conn, address=address, rows_max=10)
    assert listed.address is None


@pytest.mark.parametrize(
    "body", [b"", b"List-Unsubscribe=No", b"xList-Unsubscribe=One-Click", b"a" * 10_000]
)
def test_another_post_ends_nothing(client: Client, conn: Connection, body: bytes) -> None:
    email_id = send(conn)
    address = f"{email_id}@example.com"

    answer = client.leave(leave_link(email_id, address), body)

    assert answer.status == 400
    assert not suppressed(conn, address, "leads")


def test_a_changed_way_out_ends_nothing(client: Client, conn: Connection) -> None:
    address = f"{uuid4()}@example.com"

    answer = client.leave(leave_link(uuid4(), address)[:-4] + "AAAA")

    assert answer.status == 404
    assert not suppressed(conn, address, "leads")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/e/o/x", "POST"), ("/e/o/x", "DELETE"), ("/e/c/x", "POST"), ("/e/c/x", "PUT"),
        ("/e/u/x", "PUT"), ("/e/u/x", "DELETE"), ("/e/u/x", "OPTIONS"),
        ("/hooks/email/resend", "GET"),
    ],
)  # fmt: skip
def test_other_methods_are_refused(client: Client, path: str, method: str) -> None:
    answer = client.ask(f"{LINKS.public_url}{path}", method=method)

    assert answer.status == 405
    assert answer.headers["Allow"]


def test_one_mail_does_not_fill_the_table(
    client: Client, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.email_events.EVENTS_PER_MAIL_MAX", 3)
    email_id = send(conn)

    answers = [client.ask(LINKS.pixel(email_id)).status for _ in range(6)]

    assert answers == [200] * 6
    assert len(events(conn, email_id)) == 3


def test_readers_are_answered_while_postgres_is_away(
    client: Client, place: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.dashboard.mail_links.UNSUBSCRIBE_S", 0.5)
    with connect(place, autocommit=True) as conn:
        opened, clicked, left = (send(conn) for _ in range(3))
    address = f"{left}@example.com"

    with away(services, place):
        answers = [
            client.ask(LINKS.pixel(opened)).status,
            client.ask(LINKS.click(clicked, TARGET)).headers["Location"],
            client.ask(leave_link(left, address)).status,
            client.leave(leave_link(left, address)).status,
        ]

    assert answers == [200, TARGET, 200, 503]
    with connect(place, autocommit=True) as conn:
        eventually(lambda: row(conn, opened) == OPENED)
        eventually(lambda: row(conn, clicked) == CLICKED)
        eventually(lambda: suppressed(conn, address, "leads"))


@pytest.mark.parametrize("table", ["email_events", "suppressions"])
@pytest.mark.parametrize("role", ["authenticated", "anon"])
def test_web_roles_see_neither_events_nor_suppressions(
    conn: Connection, table: str, role: str
) -> None:
    with acting_as(conn, role, OWNER), pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(sql.SQL("SELECT FROM worker.{}").format(sql.Identifier(table)))


def test_a_row_written_by_hand_is_found(conn: Connection) -> None:
    address = f"{uuid4()}@example.com"
    with acting_as(conn, "service_role"):
        conn.execute(
            "INSERT INTO worker.suppressions (address, reason) VALUES (%s, 'manual')",
            (f" {address.upper()} ",),
        )

        assert suppressed(conn, address, "account", None)


def test_our_clock_is_not_what_mails_are_timed_by(
    client: Client, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dashboard whose clock is an hour late would call every opening hasty."""

    class Late(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Late":
            return cls.fromtimestamp(time.time() - 3600, tz)

    email_id = send(conn, ago_s=60)
    monkeypatch.setattr("workers.dashboard.mail_links.datetime", Late)
    monkeypatch.setattr("db.email_events.datetime", Late)

    client.ask(LINKS.pixel(email_id))

    eventually(lambda: row(conn, email_id) == OPENED)
