"""One delivery after the other: what is sent, what its row and its webhook say, who is told."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

import pytest
from psycopg.types.json import Jsonb
from standardwebhooks import Webhook, WebhookVerificationError

from db.embedded import Services
from db.fence import LeaseLost
from pipelines.deliver_webhook import SNOOZE_S_MAX
from pipelines.errors import Permanent, Postponed, Snooze
from tests.conftest import fresh_database
from tests.fakes_site import Hit, Site, Wire, site
from tests.posting import HEAD, SCHEDULE_S, SECRET, Posting, answering, posting


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


def test_an_event_arrives_signed_and_its_row_says_so(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add(answering(receiver, 200), secret=SECRET)

    (ended,) = desk.attempt(delivery_id)

    (hit,), row = receiver.hits, desk.row(delivery_id)
    told = Webhook(SECRET).verify(hit.body, dict(hit.headers))
    assert told == {
        "type": "lead.captured",
        "timestamp": row["created_at"].isoformat().replace("+00:00", "Z"),
        "data": {"id": "7"},
    }
    assert hit.headers["webhook-id"] == f"msg_{row['event_id']}"
    assert (hit.headers["content-type"], hit.method) == ("application/json", "POST")
    assert hit.headers["user-agent"] == "Avivro-Webhooks/1.0"
    assert (row["status"], row["http_status"], row["response_body"]) == ("delivered", 200, "ok")
    assert row["delivered_at"] is not None
    assert isinstance(ended, dict)
    assert ended["status"] == "delivered"
    assert desk.counters(delivery_id) == (1, 1, 0)


def test_every_attempt_sends_the_same_id_and_bytes_with_a_new_signature(
    desk: Posting, receiver: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery_id = desk.add(answering(receiver, 500, 429, 200), secret=SECRET)
    started_s = time.time()

    for later_s in (0, 60, 120):
        monkeypatch.setattr(time, "time", lambda now_s=started_s + later_s: now_s)
        desk.conn.execute(
            "UPDATE public.webhook_deliveries SET event_data = %s WHERE id = %s",
            [Jsonb({"changed": later_s}), delivery_id],
        )
        desk.fails(delivery_id, times=1)

    assert desk.row(delivery_id)["status"] == "delivered"
    assert len({hit.body for hit in receiver.hits}) == 1
    assert len({hit.headers["webhook-id"] for hit in receiver.hits}) == 1
    assert len({hit.headers["webhook-signature"] for hit in receiver.hits}) == 3
    times = [int(hit.headers["webhook-timestamp"]) for hit in receiver.hits]
    assert times == [int(started_s + later_s) for later_s in (0, 60, 120)]


def test_the_plan_is_followed_to_its_end(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add(answering(receiver, 500))

    first, second, third = desk.fails(delivery_id, times=3)

    assert (type(first), first.delay_s) == (Postponed, SCHEDULE_S[1])
    assert (type(second), second.delay_s) == (Postponed, SCHEDULE_S[2])
    assert type(third) is Permanent
    row = desk.row(delivery_id)
    assert (row["status"], row["attempt_count"], row["next_retry_at"]) == ("failed", 3, None)
    assert desk.counters(delivery_id) == (1, 0, 1)
    noted = desk.conn.execute(
        "SELECT attempt, http_status, response_excerpt FROM worker.delivery_attempts"
        " WHERE delivery_id = %s ORDER BY id",
        [delivery_id],
    ).fetchall()
    assert noted == [(1, 500, "ok"), (2, 500, "ok"), (3, 500, "ok")]


@pytest.mark.parametrize(
    ("columns", "attempts"),
    [({"max_retries": 0}, 1), ({"max_retries": 1}, 2), ({"retry_failed": False}, 1)],
)
def test_a_webhook_may_want_fewer_attempts(
    desk: Posting, receiver: Site, columns: dict[str, Any], attempts: int
) -> None:
    delivery_id = desk.add(answering(receiver, 500), **columns)

    desk.fails(delivery_id, times=attempts)

    row = desk.row(delivery_id)
    assert (row["status"], row["attempt_count"]) == ("failed", attempts)


def test_a_time_far_away_is_looked_at_again_in_a_day(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add(answering(receiver, 200))
    desk.conn.execute(
        "UPDATE public.webhook_deliveries SET next_retry_at = '20000-01-01' WHERE id = %s",
        [delivery_id],
    )

    (ended,) = desk.attempt(delivery_id)

    assert isinstance(ended, Snooze)
    assert ended.delay_s == SNOOZE_S_MAX


def test_a_job_that_comes_too_early_waits_for_its_time(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add(answering(receiver, 500))
    desk.attempt(delivery_id)

    (ended,) = desk.attempt(delivery_id)

    assert isinstance(ended, Snooze)
    assert 0 < ended.delay_s <= SCHEDULE_S[1]
    assert len(receiver.hits) == 1


def test_an_event_that_a_clock_ahead_of_ours_wrote_is_sent_at_once(
    desk: Posting, receiver: Site
) -> None:
    delivery_id = desk.add(answering(receiver, 200))
    desk.conn.execute(
        "UPDATE public.webhook_deliveries SET created_at = now() + interval '5 years'"
        " WHERE id = %s",
        [delivery_id],
    )

    desk.attempt(delivery_id)

    assert desk.row(delivery_id)["status"] == "delivered"


def test_a_waiting_job_that_somebody_put_forward_is_sent(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add(answering(receiver, 500, 200))
    desk.attempt(delivery_id)
    desk.conn.execute(
        "UPDATE worker.jobs SET run_at = clock_timestamp() WHERE unique_key = %s",
        [str(delivery_id)],
    )

    desk.attempt(delivery_id)

    assert desk.row(delivery_id)["status"] == "delivered"


def test_what_was_delivered_is_not_sent_twice(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add(answering(receiver, 200))
    desk.attempt(delivery_id)

    (ended,) = desk.attempt(delivery_id)

    assert ended == {"status": "delivered"}
    assert len(receiver.hits) == 1
    assert desk.counters(delivery_id) == (1, 1, 0)


def test_a_worker_that_lost_the_job_stores_nothing(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add(answering(receiver, 200))
    asked = desk.claim(delivery_id)

    (ended,) = desk.work([replace(asked, job_attempt=asked.job_attempt - 1)])

    assert isinstance(ended, LeaseLost)
    row = desk.row(delivery_id)
    assert (row["status"], row["attempt_count"], row["http_status"]) == ("pending", 0, None)


def test_a_delivery_that_is_gone_ends_quietly(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add(answering(receiver, 200))
    asked = desk.claim(delivery_id)
    desk.conn.execute("DELETE FROM public.webhooks WHERE user_id = %s", [desk.user_id])

    assert desk.work([asked]) == [{"status": "gone"}]
    assert receiver.hits == []


def test_a_webhook_deleted_during_the_attempt_ends_it_quietly(
    desk: Posting, receiver: Site
) -> None:
    def delete(wire: Wire, _: Hit) -> None:
        desk.conn.execute("DELETE FROM public.webhooks WHERE user_id = %s", [desk.user_id])
        wire.send(HEAD.format(500))

    (ended,) = desk.attempt(desk.add(receiver.raw("/in", delete)))

    assert ended == {"status": "gone", "attempt": 1, "http_status": 500, "duration_ms": ANY}


def test_an_inactive_webhook_gets_test_events_only(desk: Posting, receiver: Site) -> None:
    webhook_id = desk.add_webhook(answering(receiver, 200), is_active=False)
    other = desk.add_delivery(webhook_id)
    test = desk.add_delivery(webhook_id, event_type="webhook.test")

    desk.attempt(other, test)

    assert [json.loads(hit.body)["type"] for hit in receiver.hits] == ["webhook.test"]
    assert desk.row(test)["status"] == "delivered"
    row = desk.row(other)
    assert (row["status"], row["attempt_count"]) == ("cancelled", 0)
    assert row["error_message"] == (
        "cancelled: the webhook was deactivated before this was delivered"
    )


@pytest.mark.parametrize(("status", "row_status"), [(200, "delivered"), (500, "cancelled")])
def test_a_webhook_deactivated_during_the_attempt_keeps_what_arrived(
    desk: Posting, receiver: Site, status: int, row_status: str
) -> None:
    def deactivate(wire: Wire, _: Hit) -> None:
        desk.conn.execute("UPDATE public.webhooks SET is_active = false")
        wire.send(HEAD.format(status))

    delivery_id = desk.add(receiver.raw("/in", deactivate))
    desk.fails(delivery_id, times=1)
    if status != 200:
        desk.fails(delivery_id, times=1)

    assert desk.row(delivery_id)["status"] == row_status
    assert len(receiver.hits) == 1


def test_a_delivery_renewed_during_the_attempt_begins_anew(desk: Posting, receiver: Site) -> None:
    def renew(wire: Wire, _: Hit) -> None:
        desk.conn.execute(
            "UPDATE public.webhook_deliveries SET status = 'pending' WHERE id = %s", [delivery_id]
        )
        wire.send(HEAD.format(500))

    delivery_id = desk.add(answering(receiver, 500))
    desk.fails(delivery_id, times=2)
    receiver.raw("/in", renew)

    (ended,) = desk.fails(delivery_id, times=1)

    row = desk.row(delivery_id)
    assert (row["status"], row["attempt_count"]) == ("pending", 0)
    assert isinstance(ended, Snooze)


def test_the_next_attempt_goes_to_the_new_address_with_the_new_secret(
    desk: Posting, receiver: Site
) -> None:
    delivery_id = desk.add(answering(receiver, 500), secret=SECRET)
    desk.attempt(delivery_id)
    with site() as moved:
        desk.conn.execute(
            "UPDATE public.webhooks SET url = %s, secret = 'correct horse' WHERE user_id = %s",
            [answering(moved, 200), desk.user_id],
        )

        desk.fails(delivery_id, times=1)

        (hit,) = moved.hits
    assert len(receiver.hits) == 1
    assert hit.headers["webhook-signature"].count(" ") == 1
    for secret in (SECRET, b"correct horse"):
        Webhook(secret).verify(hit.body, dict(hit.headers))


def test_a_secret_that_was_retired_long_ago_signs_no_more(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add(answering(receiver, 200), secret="whsec_bmV3IHNlY3JldA==")
    desk.conn.execute(
        "INSERT INTO worker.retired_secrets (webhook_id, secret, until_at)"
        " VALUES (%s, %s, now() - interval '1 s')",
        [desk.row(delivery_id)["webhook_id"], SECRET],
    )

    desk.attempt(delivery_id)

    (hit,) = receiver.hits
    assert " " not in hit.headers["webhook-signature"]
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(hit.body, dict(hit.headers))


def test_an_outcome_that_is_stored_twice_counts_once(desk: Posting, receiver: Site) -> None:
    delivery_id = desk.add(answering(receiver, 500))
    asked = desk.claim(delivery_id)
    stored: list[Any] = []
    outcomes = desk.desk.outcomes
    ask = outcomes.ask

    async def twice(outcome: Any) -> Any:
        stored.append(outcome)
        return await ask(outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcomes, "ask", twice)
        desk.work([asked])
    outcomes.submit(stored[0]).result(10)

    row = desk.row(delivery_id)
    (count,) = desk.conn.execute(
        "SELECT count(*) FROM worker.delivery_attempts WHERE delivery_id = %s", [delivery_id]
    ).fetchone() or (None,)
    assert (row["status"], row["attempt_count"], count) == ("retrying", 1, 1)
