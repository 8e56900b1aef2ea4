"""Webhooks that were disabled because they failed come back when their receivers do."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from psycopg.rows import dict_row
from standardwebhooks import Webhook

from db import webhook_probes
from db.fence import Fence, LeaseLost
from db.pool import Connection
from pipelines.probe_webhooks import WAITS_S, run
from tests.fakes_site import Site, site
from tests.housekeeping import column, held, lose
from tests.posting import SECRET, Posting, answering, posting

KIND = "probe_webhooks"
REASON = "nothing was delivered for 3 days, and 20 deliveries in a row failed for good"


@pytest.fixture
def receiver() -> Iterator[Site]:
    with site() as served:
        yield served


@pytest.fixture
def desk(database_url: str) -> Iterator[Posting]:
    with posting(database_url) as opened:
        yield opened


@pytest.fixture
def fence(conn: Connection, database_url: str) -> Iterator[Fence]:
    with held(conn, database_url, KIND) as held_fence:
        yield held_fence


def disabled(conn: Connection, desk: Posting, url: str, *, reason: str = REASON) -> UUID:
    webhook_id = desk.add_webhook(url, secret=SECRET)
    conn.execute("SELECT worker.disable_webhook(%s, %s, now())", (webhook_id, reason))
    return webhook_id


def make_due(conn: Connection) -> None:
    conn.execute("UPDATE worker.endpoint_probes SET next_at = now() WHERE next_at < 'infinity'")


def probes(conn: Connection) -> list[dict[str, Any]]:
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT p.*, d.status, d.event_type, d.event_data,"
            " round(extract(epoch FROM p.next_at - now()) / 3600)::float AS wait_h"
            " FROM worker.endpoint_probes AS p"
            " LEFT JOIN webhook_deliveries AS d ON d.id = p.delivery_id"
        )
        .fetchall()
    )


def is_active(conn: Connection) -> list[bool]:
    return column(conn, "SELECT is_active FROM webhooks")


def told(conn: Connection) -> list[str]:
    return column(conn, "SELECT message FROM notifications WHERE type = 'webhook_enabled'")


def try_once(conn: Connection, desk: Posting, fence: Fence) -> dict[str, Any]:
    """A tick when its probe is due, and the probe's delivery."""
    run(fence)
    make_due(conn)
    result = run(fence)
    (probe,) = probes(conn)
    desk.attempt(probe["delivery_id"])
    return result


def test_who_answers_its_test_is_activated_and_its_owner_told(
    conn: Connection, desk: Posting, receiver: Site, fence: Fence
) -> None:
    disabled(conn, desk, answering(receiver, 200))

    tried = try_once(conn, desk, fence)
    result = run(fence)

    (hit,) = receiver.hits
    Webhook(SECRET).verify(hit.body, dict(hit.headers))
    assert (tried["probed"], result) == (1, {"activated": 1, "probed": 0})
    assert (is_active(conn), probes(conn)) == ([True], [])
    (message,) = told(conn)
    assert "is active again" in message


def test_running_twice_changes_nothing(
    conn: Connection, desk: Posting, receiver: Site, fence: Fence
) -> None:
    disabled(conn, desk, answering(receiver, 200))
    try_once(conn, desk, fence)
    run(fence)

    result = run(fence)

    assert result == {"activated": 0, "probed": 0}
    assert len(told(conn)) == len(receiver.hits) == 1


def test_killed_midway_it_is_finished_by_the_next(
    conn: Connection, database_url: str, desk: Posting, receiver: Site, fence: Fence
) -> None:
    disabled(conn, desk, answering(receiver, 200))
    try_once(conn, desk, fence)
    disabled(conn, desk, answering(receiver, 200))
    with fence.write() as own:
        webhook_probes.revive(own, rows_max=9)
    lose(conn, fence)
    with pytest.raises(LeaseLost):
        run(fence)

    with held(conn, database_url, KIND) as second:
        result = run(second)

    assert result == {"activated": 0, "probed": 0}
    assert (len(told(conn)), len(probes(conn))) == (1, 1)


def test_who_still_fails_is_tried_once_each_time_and_ever_less_often(
    conn: Connection, desk: Posting, receiver: Site, fence: Fence
) -> None:
    disabled(conn, desk, answering(receiver, 500))

    try_once(conn, desk, fence)
    first = probes(conn)[0]
    run(fence)
    ended = probes(conn)[0]
    try_once(conn, desk, fence)
    second = probes(conn)[0]

    assert (first["event_type"], first["event_data"]["probe"]) == ("webhook.test", True)
    assert (first["status"], ended["status"]) == ("retrying", "cancelled")
    assert (first["wait_h"], second["wait_h"], second["probes"]) == (2, 4, 2)
    assert (is_active(conn), told(conn), len(receiver.hits)) == ([False], [], 2)


def test_after_the_last_probe_there_is_none(
    conn: Connection, desk: Posting, receiver: Site, fence: Fence
) -> None:
    disabled(conn, desk, answering(receiver, 500))
    run(fence)
    conn.execute("UPDATE worker.endpoint_probes SET probes = %s", (len(WAITS_S) - 1,))

    make_due(conn)
    last = run(fence)
    make_due(conn)
    after = run(fence)

    assert (last["probed"], after["probed"]) == (1, 0)
    assert column(conn, "SELECT next_at = 'infinity' FROM worker.endpoint_probes") == [True]


def test_who_was_switched_off_by_its_owner_or_wants_nothing_more_is_not_tried(
    conn: Connection, desk: Posting, receiver: Site, fence: Fence
) -> None:
    url = answering(receiver, 200)
    desk.add_webhook(url, is_active=False)
    again = disabled(conn, desk, url)
    conn.execute("UPDATE webhooks SET is_active = true WHERE id = %s", (again,))
    conn.execute("UPDATE webhooks SET is_active = false WHERE id = %s", (again,))
    disabled(conn, desk, url, reason="the receiver answered 410 Gone: it wants no more events")

    run(fence)
    make_due(conn)

    assert run(fence) == {"activated": 0, "probed": 0}
    assert probes(conn) == []


def test_who_answers_gone_to_a_probe_is_not_tried_again(
    conn: Connection, desk: Posting, receiver: Site, fence: Fence
) -> None:
    disabled(conn, desk, answering(receiver, 410))

    try_once(conn, desk, fence)
    make_due(conn)

    assert run(fence) == {"activated": 0, "probed": 0}
    assert len(receiver.hits) == 1


def test_a_new_address_ends_the_probes_of_the_old_one(
    conn: Connection, desk: Posting, receiver: Site, fence: Fence
) -> None:
    webhook_id = disabled(conn, desk, answering(receiver, 500))
    run(fence)

    conn.execute("UPDATE webhooks SET url = url || '?new' WHERE id = %s", (webhook_id,))

    assert (probes(conn), is_active(conn)) == ([], [False])


def test_so_many_at_a_time_and_the_longest_due_first(
    conn: Connection, desk: Posting, receiver: Site
) -> None:
    url = answering(receiver, 200)
    ids = [disabled(conn, desk, url) for _ in range(3)]
    webhook_probes.begin(conn, wait_s=0, rows_max=9)
    conn.execute(
        "UPDATE worker.endpoint_probes SET next_at = now() - interval '1 hour'"
        " WHERE webhook_id = %s",
        (ids[1],),
    )

    sent = webhook_probes.send_due(conn, waits_s=WAITS_S, rows_max=1)

    assert sent == 1
    assert column(conn, "SELECT webhook_id FROM webhook_deliveries") == [ids[1]]
