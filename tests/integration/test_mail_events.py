"""What providers tell of mails: signed posts over HTTP, and what they do to rows."""

import base64
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from standardwebhooks.webhooks import Webhook

from db import suppressions
from db.embedded import Services
from db.pool import Connection, connect
from tests.conftest import fresh_database
from tests.integration.mail_world import Row, away, events, eventually, row, send, serving
from tests.integration.schema_world import OTHER, OWNER, sign_up
from workers.dashboard.mail_events import BODY_BYTES_MAX

SECRET = "whsec_" + base64.b64encode(b"secret of the tests 1234").decode()


@dataclass(frozen=True)
class Provider:
    """Posts events as Resend does, with the official signer."""

    port: int

    def post(
        self,
        body: bytes,
        *,
        event_id: str | None = None,
        secret: str = SECRET,
        provider: str = "resend",
        **headers: str,
    ) -> tuple[int, Any]:
        event_id, now = event_id or f"msg_{uuid4().hex}", datetime.now(UTC)
        signed = {
            "Content-Type": "application/json",
            "svix-id": event_id,
            "svix-timestamp": str(int(now.timestamp())),
            "svix-signature": Webhook(secret).sign(event_id, now, body.decode("utf-8", "replace")),
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", f"/hooks/email/{provider}", body, signed | headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def tell(
        self,
        message_id: str,
        kind: str,
        *,
        at: datetime | None = None,
        event_id: str | None = None,
        **data: Any,
    ) -> int:
        at = at or datetime.now(UTC)
        body = {
            "type": f"email.{kind}",
            "created_at": at.isoformat().replace("+00:00", "Z"),
            "data": {"email_id": message_id, "to": ["max@example.com"], "subject": "Hi"} | data,
        }
        return self.post(json.dumps(body).encode(), event_id=event_id)[0]


@pytest.fixture(scope="module")
def place(services: Services, template: str) -> Iterator[str]:
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
def resend(place: str) -> Iterator[Provider]:
    with serving(place, email_webhook_secret=SECRET) as port:
        yield Provider(port)


def send_by_resend(conn: Connection, **values: Any) -> tuple[UUID, str]:
    """A mail that Resend took, and Resend's id of it."""
    message_id = str(uuid4())
    known = {"provider": "resend", "provider_message_id": message_id}
    return send(conn, **(known | values)), message_id


def reasons(conn: Connection, email_id: UUID) -> list[str]:
    address = f"{email_id}@example.com"
    found = suppressions.list_suppressions(conn, address=address, rows_max=10)
    return [each.reason for each in found]


def gets(conn: Connection, email_id: UUID, category: str) -> bool:
    address = f"{email_id}@example.com"
    return suppressions.find(conn, address, category, user_id=OWNER) is None


DELIVERED = Row("delivered", delivered=True, opened=False, clicked=False)


def test_an_event_moves_its_mail(resend: Provider, conn: Connection) -> None:
    email_id, message_id = send_by_resend(conn)

    answer = resend.tell(message_id, "delivered")

    assert answer == 200
    assert row(conn, email_id) == DELIVERED
    assert events(conn, email_id) == [("delivered", False)]


def test_an_event_counts_once_however_often_it_is_posted(
    resend: Provider, conn: Connection
) -> None:
    email_id, message_id = send_by_resend(conn)

    answers = [resend.tell(message_id, "delivered", event_id="msg_twice") for _ in range(3)]

    assert answers == [200, 200, 200]
    assert events(conn, email_id) == [("delivered", False)]


@pytest.mark.parametrize("order", list(permutations(("sent", "delivered", "clicked"))))
def test_events_may_come_in_any_order(
    resend: Provider, conn: Connection, order: tuple[str, ...]
) -> None:
    email_id, message_id = send_by_resend(conn)
    now = datetime.now(UTC)
    minutes = {"sent": 30, "delivered": 20, "clicked": 10}

    for kind in order:
        resend.tell(message_id, kind, at=now - timedelta(minutes=minutes[kind]))

    assert row(conn, email_id) == Row("clicked", delivered=True, opened=True, clicked=True)
    times = conn.execute(
        "SELECT clicked_at - delivered_at FROM email_logs WHERE id = %s", (email_id,)
    ).fetchone()
    assert times == (timedelta(minutes=10),)


def test_an_event_that_comes_before_our_own_commit_is_kept(
    resend: Provider, conn: Connection
) -> None:
    message_id = str(uuid4())
    email_id = send(conn, status="sending", provider="resend")
    assert resend.tell(message_id, "delivered") == 200
    assert row(conn, email_id).status == "sending"

    conn.execute(
        "UPDATE email_logs SET status = 'sent', provider_message_id = %s WHERE id = %s",
        (message_id, email_id),
    )

    eventually(lambda: row(conn, email_id) == DELIVERED)


def test_a_mail_is_known_by_our_own_id_too(resend: Provider, conn: Connection) -> None:
    email_id = send(conn, status="sending", provider="resend")

    resend.tell(str(uuid4()), "delivered", tags={"email_id": str(email_id)})

    assert row(conn, email_id) == DELIVERED


def test_an_uncertain_mail_that_was_delivered_was_sent(resend: Provider, conn: Connection) -> None:
    email_id, message_id = send_by_resend(conn, status="uncertain", error_message="unsure")

    resend.tell(message_id, "delivered")

    assert row(conn, email_id) == DELIVERED
    told = conn.execute("SELECT error_message FROM email_logs WHERE id = %s", (email_id,))
    assert told.fetchone() == (None,)


def test_events_wait_while_a_mail_is_to_be_sent_again(resend: Provider, conn: Connection) -> None:
    email_id, message_id = send_by_resend(conn, status="queued")

    resend.tell(message_id, "delivered")

    assert row(conn, email_id).status == "queued"


def test_a_hard_bounce_stops_all_mail_to_the_address(resend: Provider, conn: Connection) -> None:
    email_id, message_id = send_by_resend(conn)
    bounce = {"type": "Permanent", "subType": "General", "message": "no such user"}

    resend.tell(message_id, "bounced", bounce=bounce)

    assert row(conn, email_id).status == "bounced"
    assert reasons(conn, email_id) == ["bounced"]
    assert not gets(conn, email_id, "account")
    told = conn.execute("SELECT error_message FROM email_logs WHERE id = %s", (email_id,))
    assert told.fetchone() == ("The mail came back: no such user",)


def test_a_complaint_leaves_mail_about_the_account(resend: Provider, conn: Connection) -> None:
    email_id, message_id = send_by_resend(conn)

    resend.tell(message_id, "complained")

    assert row(conn, email_id).status == "complained"
    assert reasons(conn, email_id) == ["complained"]
    assert (gets(conn, email_id, "leads"), gets(conn, email_id, "account")) == (False, True)


def test_what_an_operator_let_go_stays_so(resend: Provider, conn: Connection) -> None:
    email_id, message_id = send_by_resend(conn)
    resend.tell(message_id, "complained")
    suppressions.remove(conn, f"{email_id}@example.com")

    resend.tell(message_id, "opened")
    resend.tell(message_id, "delivered")

    assert reasons(conn, email_id) == []


def test_one_soft_bounce_stops_nothing(resend: Provider, conn: Connection) -> None:
    email_id, message_id = send_by_resend(conn)

    resend.tell(message_id, "bounced", bounce={"type": "Transient", "subType": "MailboxFull"})

    assert row(conn, email_id).status == "bounced"
    assert reasons(conn, email_id) == []


def test_five_soft_bounces_over_a_week_do(resend: Provider, conn: Connection) -> None:
    address = f"{uuid4()}@example.com"
    now = datetime.now(UTC)
    for days in (8, 6, 4, 2, 0):
        assert not suppressions.list_suppressions(conn, address=address, rows_max=10)
        _, message_id = send_by_resend(conn, to=address, ago_s=9 * 86_400)
        at = now - timedelta(days=days)
        resend.tell(message_id, "bounced", at=at, bounce={"type": "Transient"})

    (found,) = suppressions.list_suppressions(conn, address=address, rows_max=10)

    assert (found.reason, found.note) == ("bounced", "5 soft bounces in a row")


@pytest.mark.parametrize(
    ("kind", "data"),
    [("failed", {"failed": {"reason": "quota"}}), ("suppressed", {"suppressed": {"message": "x"}})],
)
def test_a_mail_that_the_provider_would_not_send_failed(
    resend: Provider, conn: Connection, kind: str, data: dict[str, Any]
) -> None:
    email_id, message_id = send_by_resend(conn)

    resend.tell(message_id, kind, **data)

    assert row(conn, email_id).status == "failed"


@pytest.mark.parametrize(
    "body",
    [
        {"type": "contact.created", "data": {}},
        {"type": "email.invented", "data": {"email_id": "x"}},
        {"type": "email.received", "data": None},
        {},
    ],
)
def test_what_is_not_about_our_mails_is_taken_and_passed_over(
    resend: Provider, body: dict[str, Any]
) -> None:
    assert resend.post(json.dumps(body).encode()) == (200, {"received": True, "ignored": True})


def test_an_event_of_a_strangers_mail_is_taken(resend: Provider) -> None:
    assert resend.tell(str(uuid4()), "bounced", bounce={"type": "Permanent"}) == 200
    assert resend.tell("", "delivered") == 200
    assert resend.tell("odd \x00 \ud800 id", "delivered") == 200


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_none_is_refused(resend: Provider, body: bytes) -> None:
    status, _ = resend.post(body)

    assert status in (400, 401)


def test_a_long_body_is_refused(resend: Provider) -> None:
    status, told = resend.post(b'"' + b"a" * BODY_BYTES_MAX + b'"')

    assert status == 413
    assert f"{BODY_BYTES_MAX:,}" in told["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"svix-signature": "v1,AAAA"},
        {"svix-signature": ""},
        {"svix-timestamp": "1"},
        {"svix-timestamp": "soon"},
        {"svix-id": "another"},
    ],
)
def test_an_event_that_is_not_the_providers_changes_nothing(
    resend: Provider, conn: Connection, headers: dict[str, str]
) -> None:
    email_id, message_id = send_by_resend(conn)
    body = json.dumps({"type": "email.bounced", "data": {"email_id": message_id}}).encode()

    status, told = resend.post(body, **headers)

    assert status == 401
    assert told["error"]
    assert events(conn, email_id) == []


def test_another_secret_is_refused(resend: Provider) -> None:
    other = "whsec_" + base64.b64encode(b"another secret 123456789").decode()

    assert resend.post(b"{}", secret=other)[0] == 401


def test_an_unknown_provider_is_not_found(resend: Provider) -> None:
    status, told = resend.post(b"{}", provider="mailgun")

    assert status == 404
    assert "resend" in told["error"]


def test_without_a_secret_nothing_is_taken(place: str) -> None:
    with serving(place) as port:
        status, told = Provider(port).post(b"{}")

    assert status == 503
    assert "EMAIL_WEBHOOK_SECRET" in told["error"]


def test_a_new_and_an_old_secret_are_taken_together(place: str) -> None:
    new = "whsec_" + base64.b64encode(b"a new secret 12345678901").decode()
    with serving(place, email_webhook_secret=f"{new},{SECRET}") as port:
        answers = [Provider(port).post(b"{}", secret=secret)[0] for secret in (new, SECRET)]

    assert answers == [200, 200]


def test_the_provider_is_asked_to_post_again_while_postgres_is_away(
    resend: Provider, place: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.dashboard.mail_events.STORE_S", 0.5)
    with connect(place, autocommit=True) as conn:
        email_id, message_id = send_by_resend(conn)

    with away(services, place):
        meanwhile = resend.tell(message_id, "delivered", event_id="msg_away")
    again = resend.tell(message_id, "delivered", event_id="msg_away")

    assert (meanwhile, again) == (503, 200)
    with connect(place, autocommit=True) as conn:
        eventually(lambda: row(conn, email_id) == DELIVERED)
        assert events(conn, email_id) == [("delivered", False)]
