"""What endpoints may ask for, where they may be, and how they are treated when they fail."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from db.embedded import Services
from pipelines.errors import Permanent
from tests.conftest import fresh_database
from tests.fakes_site import Hit, Site, Wire, site
from tests.posting import HEAD, SECRET, Posting, answering, posting


@pytest.fixture(scope="module")
def url(services: Services, template: str) -> Iterator[str]:
    with fresh_database(services, template=template) as database_url:
        yield database_url


@pytest.fixture(scope="module")
def shared(url: str) -> Iterator[Posting]:
    with posting(url) as opened:
        yield opened


@pytest.fixture
def desk(shared: Posting) -> Posting:
    shared.renew_owner()
    return shared


@pytest.fixture
def receiver() -> Iterator[Site]:
    with site() as served:
        yield served


def test_custom_headers_are_sent_and_ours_stay(desk: Posting, receiver: Site) -> None:
    custom = {
        "Authorization": "Bearer 1",
        "WEBHOOK-ID": "evil",
        "webhook-signature": "evil",
        "Content-type": "text/plain",
        "Content-Length": "1",
        "host": "evil.example",
        "Transfer-Encoding": "chunked",
        "user-agent": "evil",
    }
    delivery_id = desk.add(answering(receiver, 200), secret=SECRET, custom_headers=custom)

    desk.attempt(delivery_id)

    (hit,) = receiver.hits
    Webhook(SECRET).verify(hit.body, dict(hit.headers))
    assert hit.headers["authorization"] == "Bearer 1"
    assert not [value for value in hit.headers.values() if "evil" in value]
    assert hit.headers["content-type"] == "application/json"
    assert "transfer-encoding" not in hit.headers


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"custom_headers": {"X Y": "1"}}, "'X Y'"),
        ({"custom_headers": {"X": "a\r\nHost: b"}}, "'X'"),
        ({"custom_headers": {"X-N": 5}}, "'X-N' has a value that is no text"),
        ({"secret": "whsec_"}, "the secret is empty"),
    ],
)
def test_what_cannot_be_sent_fails_at_once_and_says_why(
    desk: Posting, receiver: Site, columns: dict[str, Any], words: str
) -> None:
    delivery_id = desk.add(answering(receiver, 200), **columns)

    (ended,) = desk.attempt(delivery_id)

    row = desk.row(delivery_id)
    assert isinstance(ended, Permanent)
    assert (row["status"], row["next_retry_at"], receiver.hits) == ("failed", None, [])
    assert row["error_message"].startswith("protocol: ")
    assert words in row["error_message"]
    assert row["duration_ms"] is not None


@pytest.mark.parametrize(
    "address",
    """http://127.0.0.2/ http://10.0.0.1/ http://169.254.169.254/latest http://[::1]/ http://0x7f.1/
    http://168.63.129.16/ http://[64:ff9b::7f00:1]/ http://[::ffff:10.0.0.1]/ https://u:p@example.com/
    http://0/ http://[fec0::1]/ http://①②⑦.⓪.⓪.②/ http://example.com\\@x/
    """.split(),
)
def test_an_address_that_is_off_limits_is_blocked_at_once(desk: Posting, address: str) -> None:
    delivery_id = desk.add(address)

    (ended,) = desk.attempt(delivery_id)

    row = desk.row(delivery_id)
    assert isinstance(ended, Permanent)
    assert (row["status"], row["attempt_count"], row["next_retry_at"]) == ("blocked", 1, None)
    assert row["error_message"].startswith("blocked: ")
    assert row["duration_ms"] is not None
    assert desk.counters(delivery_id) == (1, 0, 1)


def test_a_name_with_one_bad_address_is_blocked(url: str, receiver: Site) -> None:
    answers = ["127.0.0.1", "10.0.0.1"]
    with posting(url, lookup=lambda _: answers) as desk:
        delivery_id = desk.add(f"http://mixed.example:{receiver.port}/")

        desk.attempt(delivery_id)

        assert desk.row(delivery_id)["status"] == "blocked"
    assert receiver.connections == 0


def test_a_name_that_turns_bad_between_attempts_is_blocked(url: str, receiver: Site) -> None:
    asked: list[str] = []

    def lookup(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    receiver.page("/in", status=500, headers={"Connection": "close"})
    with posting(url, lookup=lookup) as desk:
        delivery_id = desk.add(f"http://rebound.example:{receiver.port}/in")

        desk.fails(delivery_id, times=2)

        assert desk.row(delivery_id)["status"] == "blocked"
    assert len(receiver.hits) == 1


def test_the_address_that_was_checked_is_the_one_that_is_reached(url: str, receiver: Site) -> None:
    asked: list[str] = []

    def lookup(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    answering(receiver, 200)
    with posting(url, lookup=lookup) as desk:
        delivery_id = desk.add(f"http://once.example:{receiver.port}/in")

        desk.attempt(delivery_id)

        assert desk.row(delivery_id)["status"] == "delivered"
    assert asked == ["once.example"]


def test_deliveries_to_one_endpoint_share_connections(desk: Posting, receiver: Site) -> None:
    webhook_id = desk.add_webhook(answering(receiver, 200))

    for _ in range(5):
        desk.attempt(desk.add_delivery(webhook_id))

    assert (len(receiver.hits), receiver.connections) == (5, 1)


def test_a_kept_connection_that_turns_out_dead_costs_no_attempt(
    desk: Posting, receiver: Site
) -> None:
    def once(wire: Wire, _: Hit) -> bool:
        if len(receiver.hits) == 2:
            wire.reset()
        wire.send(HEAD.format(200))
        return True

    webhook_id = desk.add_webhook(receiver.raw("/in", once))

    deliveries = [desk.add_delivery(webhook_id) for _ in range(2)]
    for each in deliveries:
        desk.attempt(each)

    assert [desk.row(each)["attempt_count"] for each in deliveries] == [1, 1]
    assert desk.row(deliveries[1])["status"] == "delivered"
    assert (len(receiver.hits), receiver.connections) == (3, 2)


def test_a_large_event_is_thin(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add_delivery(
        desk.add_webhook(answering(receiver, 200)),
        data={"id": "7", "agent_id": "9", "text": "x" * 50_000},
    )

    desk.attempt(delivery_id)

    (hit,) = receiver.hits
    link = f"https://app.avivro.com/webhooks/deliveries/{delivery_id}"
    assert json.loads(hit.body)["data"] == {
        "id": "7",
        "agent_id": "9",
        "thin": True,
        "link": link,
    }


def test_a_receiver_that_is_gone_disables_its_webhook_and_tells_the_owner_once(
    desk: Posting, receiver: Site
) -> None:
    webhook_id = desk.add_webhook(answering(receiver, 410))
    first, second, waiting = (desk.add_delivery(webhook_id) for _ in range(3))

    desk.attempt(first, second)

    active = desk.conn.execute(
        "SELECT is_active FROM public.webhooks WHERE id = %s", [webhook_id]
    ).fetchone()
    told = desk.conn.execute(
        "SELECT (SELECT count(*) FROM public.notifications WHERE user_id = %(user)s"
        " AND type = 'webhook_disabled'), (SELECT count(*) FROM public.email_logs"
        " WHERE user_id = %(user)s AND email_type = 'webhook_disabled')",
        {"user": desk.user_id},
    ).fetchone()
    assert (active, told) == ((False,), (1, 1))
    row = desk.row(waiting)
    assert (row["status"], row["attempt_count"]) == ("cancelled", 0)
    assert "410" in row["error_message"]


def test_a_webhook_without_a_name_is_told_of_by_its_address(desk: Posting) -> None:
    webhook_id = desk.add_webhook("https://away.example/in", name=" ")

    desk.conn.execute("SELECT worker.disable_webhook(%s, 'it is away', now())", [webhook_id])

    told = desk.conn.execute(
        "SELECT starts_with(n.message, 'https://away.example/in was disabled'),"
        " m.template_data ->> 'webhook_name' FROM public.notifications AS n"
        " JOIN public.email_logs AS m ON m.id = n.id WHERE n.user_id = %s",
        [desk.user_id],
    ).fetchall()
    assert told == [(True, "https://away.example/in")]


def test_an_answer_of_an_address_that_was_just_replaced_says_nothing_of_the_new_one(
    desk: Posting, receiver: Site
) -> None:
    def move(wire: Wire, _: Hit) -> None:
        desk.conn.execute("UPDATE public.webhooks SET url = 'https://new.example/in'")
        wire.send(HEAD.format(410))

    delivery_id = desk.add(receiver.raw("/in", move))
    desk.fails(delivery_id, times=1)

    found = desk.conn.execute(
        "SELECT is_active, (SELECT count(*) FROM worker.endpoints WHERE consecutive_failures > 0)"
        " FROM public.webhooks"
    ).fetchone()
    assert found == (True, 0)


def hold(desk: Posting, webhook_id: UUID) -> tuple[Any, ...] | None:
    """(cap, cap after the time, whether that is to come) of what holds its deliveries back."""
    return desk.conn.execute(
        "SELECT cap, then_cap, until_at > now() FROM worker.lane_holds WHERE lane = %s",
        [f"deliver_webhook:{webhook_id}"],
    ).fetchone()


def fail_a_hundred_times(desk: Posting, webhook_id: UUID) -> None:
    """A few at a time: on a busy machine a hundred at once take as long as a slow endpoint."""
    for _ in range(20):
        desk.attempt(*(desk.add_delivery(webhook_id) for _ in range(5)))


def test_an_endpoint_that_fails_a_hundred_times_is_held_and_comes_back_by_a_ramp(
    desk: Posting, receiver: Site
) -> None:
    webhook_id = desk.add_webhook(answering(receiver, 500))

    fail_a_hundred_times(desk, webhook_id)
    opened = hold(desk, webhook_id)
    desk.conn.execute(
        "UPDATE worker.endpoints SET open_until = now() - interval '1 s' WHERE webhook_id = %s",
        [webhook_id],
    )
    answering(receiver, 200)
    caps = []
    for _ in range(4):
        desk.attempt(desk.add_delivery(webhook_id))
        found = hold(desk, webhook_id)
        caps.append(found and found[1])

    assert opened == (0, 1, True)
    assert caps == [2, 4, 8, None]


def test_an_endpoint_that_was_given_up_is_held_no_more(desk: Posting, receiver: Site) -> None:
    webhook_id = desk.add_webhook(answering(receiver, 500))
    fail_a_hundred_times(desk, webhook_id)
    answering(receiver, 410)

    desk.attempt(desk.add_delivery(webhook_id))

    assert hold(desk, webhook_id) is None


def test_a_slow_endpoint_gets_few_at_a_time(url: str, receiver: Site) -> None:
    with posting(url, timeout_s=0.2) as desk:
        webhook_id = desk.add_webhook(receiver.silent("/in"))

        desk.attempt(desk.add_delivery(webhook_id))

        assert hold(desk, webhook_id) == (2, None, None)
