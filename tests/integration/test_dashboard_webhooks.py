"""Webhooks: who is cut off, what was delivered; what is done is done for their owners and noted."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from db import badges, watched_webhooks, webhooks
from db.acting import acting_as
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from tests.integration import schema_world as world
from workers.dashboard.frozen import pack_uuids
from workers.dashboard.pages import webhooks as page

ROWS = re.compile(r'data-open href="/webhooks/([0-9a-f-]{36})"')


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


@pytest.fixture
def owner(conn: Connection) -> UUID:
    world.sign_up(conn, world.OWNER, "owner@example.com")
    return world.OWNER


def add(
    conn: Connection, owner: UUID, *, health: dict[str, str] | None = None, **columns: Any
) -> UUID:
    """A webhook; what is known of its receiver are SQL expressions."""
    id = uuid4()
    values = {"id": id, "user_id": owner, "name": "Shop", "url": "https://shop.example/in"}
    world.insert(conn, "webhooks", {**values, "events": ["lead.*"], **columns})
    if health is not None:
        names, said = ", ".join(health), ", ".join(health.values())
        statement = f"INSERT INTO worker.endpoints (webhook_id, {names}) VALUES (%s, {said})"
        conn.execute(statement.encode(), [id])
    return id


def deliver(
    conn: Connection, webhook: UUID, status: str, *, minutes: int = 5, **columns: Any
) -> UUID:
    """A row as its worker left it, and no job."""
    id = uuid4()
    values = {
        "id": id, "webhook_id": webhook, "event_type": "lead.captured", "event_data": {},
        "status": status, "attempt_count": 1, "duration_ms": 100,
        "created_at": datetime.now(UTC) - timedelta(minutes=minutes), **columns,
    }  # fmt: skip
    with conn.transaction():
        conn.execute("SET LOCAL session_replication_role = replica")
        world.insert(conn, "webhook_deliveries", values)
    return id


STATES: dict[str, dict[str, Any]] = {
    "open": {"health": {"open_until": "now() + interval '5 min'", "consecutive_failures": "9"}},
    "half_open": {"health": {"open_until": "now() - interval '5 s'"}},
    "disabled": {"health": {"disabled_reason": "'410 Gone'"}, "is_active": False},
    "failing": {"health": {"consecutive_failures": "2"}},
    "slow": {"health": {"quick_needed": "3"}},
    "closed": {},
    # It was open when its owner switched it off.
    "off": {"health": {"open_until": "now() + interval '5 min'"}, "is_active": False},
}


def statuses(conn: Connection, webhook: UUID) -> dict[UUID, str]:
    query = "SELECT id, status FROM public.webhook_deliveries WHERE webhook_id = %s"
    return dict(conn.execute(query, [webhook]).fetchall())


def noted(conn: Connection) -> list[dict[str, Any]]:
    cursor = conn.cursor(row_factory=dict_row)
    query = "SELECT action, target, role, why, details FROM worker.audit_log ORDER BY id"
    return cursor.execute(query).fetchall()


def test_every_state_is_the_one_that_owners_are_told(conn: Connection, owner: UUID) -> None:
    ids = {state: add(conn, owner, **columns) for state, columns in STATES.items()}
    others = [add(conn, owner, **STATES["open"]), add(conn, owner, **STATES["off"])]

    found = watched_webhooks.find_matching(conn, watched_webhooks.Filter(), after=None, rows_max=50)
    counts = watched_webhooks.count(conn)

    ranked = [(each.state, each.id) for each in found if each.id not in others]
    assert ranked == list(ids.items())
    assert counts == dict.fromkeys(STATES, 1) | {"open": 2, "off": 2}
    told = {"failing": "closed", "off": "disabled"}
    for state, id in ids.items():
        with acting_as(conn, owner):
            assert webhooks.get_health(conn, id).state == told.get(state, state)
        assert page.state_of(page.require(conn, id)) == state


def test_only_what_failing_cut_off_counts_in_the_bar(conn: Connection, owner: UUID) -> None:
    for columns in STATES.values():
        add(conn, owner, **columns)
    add(conn, owner, is_active=False)

    assert badges.count(conn).stopped_webhooks == 2


def test_figures_of_an_endpoint_are_those_of_its_rows(
    conn: Connection, desk: Desk, owner: UUID
) -> None:
    hook = add(conn, owner, **STATES["open"])
    for number in range(20):
        deliver(conn, hook, "delivered", minutes=60 + number, duration_ms=100 + number)
    for _ in range(5):
        deliver(conn, hook, "failed", minutes=30, http_status=503, duration_ms=1_000)
    deliver(conn, hook, "failed", minutes=60 * 25)
    for _ in range(3):
        deliver(conn, hook, "pending", minutes=1, attempt_count=0)
    add(conn, owner)

    (found, _) = watched_webhooks.find_matching(
        conn, watched_webhooks.Filter(), after=None, rows_max=9
    )
    hours = watched_webhooks.sum_hours(conn, hook, hours=48)

    assert (found.ended, found.delivered, found.waiting) == (25, 20, 3)
    assert (found.p95_ms, found.http_status) == (1_000, 503)
    assert len(found.statuses) == 29
    assert (sum(h.delivered for h in hours), sum(h.failed for h in hours)) == (20, 6)
    shown = desk.browser("viewer").get("/webhooks")
    assert "80%" in shown
    assert "<b>in 5.0 min</b>" in re.sub(r"</?time[^>]*>", "", shown)


def test_a_list_is_filtered_and_paged_without_gaps(
    conn: Connection, desk: Desk, owner: UUID
) -> None:
    ids = [add(conn, owner, **list(STATES.values())[n % 7]) for n in range(page.PAGE_ROWS + 5)]
    viewer = desk.browser("viewer")

    first = viewer.get("/webhooks")
    further = re.search(r'href="(/webhooks\?[^"]*after=[^"]*)"', first)
    assert further is not None
    second = viewer.get(further[1].replace("&amp;", "&"))

    assert sorted(ROWS.findall(first) + ROWS.findall(second)) == sorted(map(str, ids))
    assert ROWS.findall(viewer.get(f"/webhooks?q={ids[0]}")) == [str(ids[0])]
    assert ROWS.findall(viewer.get("/webhooks?state=open")) == list(map(str, ids[::7]))
    assert len(ROWS.findall(viewer.get("/webhooks?state=troubled"))) == 25
    assert ROWS.findall(viewer.get(f"/webhooks?tenant={uuid4()}")) == []
    for query in ("state=x", "after=1_2", "after=9_2026-01-01T00:00:00+00:00_" + str(uuid4())):
        assert viewer.status(f"/webhooks?{query}") == 400


def test_a_delivery_is_found_by_what_its_receiver_knows(
    conn: Connection, desk: Desk, owner: UUID
) -> None:
    hook, other = add(conn, owner), add(conn, owner)
    wanted, spared, foreign = (
        deliver(conn, hook, "failed"),
        *(deliver(conn, each, "failed") for each in (hook, other)),
    )
    (event,) = conn.execute(
        "SELECT event_id FROM public.webhook_deliveries WHERE id = %s", [wanted]
    ).fetchone() or (None,)
    viewer = desk.browser("viewer")

    for text in (f"msg_{event}", str(event), str(wanted)):
        page = viewer.get(f"/webhooks/{hook}?event={text}")
        assert f"deliveries/{wanted}" in page
        assert f"deliveries/{spared}" not in page
    assert "No such delivery" in viewer.get(f"/webhooks/{hook}?event={foreign}")
    assert viewer.status(f"/webhooks/{hook}?event=evt_1") == 400


def test_no_page_shows_a_secret_a_body_or_markup(conn: Connection, desk: Desk, owner: UUID) -> None:
    hook = add(
        conn, owner, name="<script>alert(1)</script>", secret="whsec_SECRETSECRET",
        url="https://me:PASSWORD@shop.example/in?key=QUERYKEY",
        custom_headers={"X-Key": "HEADERVALUE"}, **STATES["open"],
    )  # fmt: skip
    one = deliver(
        conn, hook, "failed", event_data={"email": "VISITOR@example.com", "<b>": "PAYLOAD"},
        response_body="<i>ANSWER</i>", error_message="<img src=x onerror=alert(3)>",
        event_type='x"><script>alert(4)</script>',
    )  # fmt: skip
    conn.execute(
        "INSERT INTO worker.delivery_attempts (delivery_id, attempt, error_message,"
        " response_excerpt) VALUES (%s, 1, 'http_503', 'EXCERPT')",
        [one],
    )
    operator = desk.browser("operator")

    shown = "".join(
        operator.get(path)
        for path in ("/webhooks", f"/webhooks/{hook}", f"/webhooks/deliveries/{one}")
    )

    for secret in ("SECRETSECRET", "PASSWORD", "QUERYKEY", "HEADERVALUE", "VISITOR", "PAYLOAD",
                   "ANSWER", "EXCERPT"):  # fmt: skip
        assert secret not in shown, secret
    for markup in ("<script>alert", "<img src=x", "<i>"):
        assert markup not in shown.replace("<i></i>", ""), markup
    assert "X-Key" in shown
    assert "redacted" in shown


def test_contents_are_revealed_to_operators_and_that_is_noted(
    conn: Connection, desk: Desk, owner: UUID
) -> None:
    one = deliver(
        conn, add(conn, owner), "delivered", event_data={"email": "VISITOR<b>"},
        response_body="ANSWER", delivered_at=datetime.now(UTC),
    )  # fmt: skip
    operator, viewer = desk.browser("operator"), desk.browser("viewer")
    path = f"/webhooks/deliveries/{one}/reveal"

    status, shown = operator.send(path, csrf=operator.token, why="customer asked")
    refused = viewer.send(path, csrf=viewer.token, why="curious")

    assert status == 200
    assert "VISITOR&lt;b&gt;" in shown
    assert "ANSWER" in shown
    assert refused[0] == 403
    (entry,) = noted(conn)
    assert (entry["action"], entry["target"], entry["why"]) == (
        "reveal_delivery", f"delivery {one}", "customer asked"
    )  # fmt: skip
    assert "VISITOR" not in str(entry)


def test_one_is_sent_again(conn: Connection, desk: Desk, owner: UUID) -> None:
    hook = add(conn, owner)
    one, other = deliver(conn, hook, "failed"), deliver(conn, hook, "failed")
    operator = desk.browser("operator")

    operator.post("/webhooks/redeliver", delivery_id=one)

    assert statuses(conn, hook) == {one: "pending", other: "failed"}
    assert (noted(conn)[0]["action"], noted(conn)[0]["role"]) == ("redeliver", "operator")
    off = deliver(conn, add(conn, owner, is_active=False), "failed")
    answer = operator.send("/webhooks/redeliver", csrf=operator.token, delivery_id=off, why="x")
    assert answer[0] == 409
    assert "is not active" in answer[1]
    assert len(noted(conn)) == 1


def test_the_preview_of_an_inactive_webhook_promises_no_pace(
    conn: Connection, desk: Desk, owner: UUID
) -> None:
    hook = add(conn, owner, is_active=False)
    deliver(conn, hook, "failed")

    page = desk.browser("operator").get(f"/webhooks/{hook}/recover?since=2020-01-01T00:00")

    assert "Nothing is sent." in page
    assert "a second" not in page
    assert 'action="/webhooks/recover"' not in page


def test_what_the_preview_counts_is_what_is_sent_again(
    conn: Connection, desk: Desk, owner: UUID
) -> None:
    hook, other = add(conn, owner), add(conn, owner)
    lost = [deliver(conn, hook, status) for status in ("failed", "blocked", "cancelled")]
    kept = [
        deliver(conn, hook, "delivered"),
        deliver(conn, hook, "failed", minutes=600),
        deliver(conn, other, "failed"),
    ]
    before = statuses(conn, hook) | statuses(conn, other)
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    operator = desk.browser("operator")

    seen = operator.client.get(f"/webhooks/{hook}/recover", params={"since": since[:16]}).text
    late = deliver(conn, hook, "failed", minutes=1)
    before[late] = "failed"
    done = operator.press(seen, "/webhooks/recover")
    again = operator.press(seen, "/webhooks/recover")

    assert done[0] == again[0] == 303
    assert "Send 3 again</button>" in seen
    after = statuses(conn, hook) | statuses(conn, other)
    assert {id: after[id] for id in lost} == dict.fromkeys(lost, "pending")
    assert {id: after[id] for id in [*kept, late]} == {id: before[id] for id in [*kept, late]}
    (entry,) = noted(conn)
    assert (entry["action"], entry["details"]["changed"]) == ("redeliver_lost", 3)
    assert entry["details"]["ids"] == [str(id) for id in lost]


def test_what_is_not_lost_any_more_is_not_sent_again(
    conn: Connection, desk: Desk, owner: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, other = add(conn, owner), add(conn, owner)
    lost, arrived = (deliver(conn, hook, "failed") for _ in range(2))
    foreign = deliver(conn, other, "failed")
    operator = desk.browser("operator")

    seen = operator.get(f"/webhooks/{hook}/recover?since=2020-01-01T00:00")
    conn.execute(
        "UPDATE public.webhook_deliveries SET status = 'delivered' WHERE id = %s", [arrived]
    )
    smuggled = operator.press(seen, "/webhooks/recover", ids=pack_uuids([lost, arrived, foreign]))
    monkeypatch.setattr(page, "RECOVER_MAX", 1)
    beyond = operator.press(seen, "/webhooks/recover")

    assert (smuggled[0], beyond[0]) == (303, 400)
    assert statuses(conn, hook) == {lost: "pending", arrived: "delivered"}
    assert statuses(conn, other) == {foreign: "failed"}
    (entry,) = noted(conn)
    assert (entry["details"]["asked"], entry["details"]["changed"]) == (3, 1)


def test_it_is_switched_off_and_on_with_a_clean_record(
    conn: Connection, desk: Desk, owner: UUID
) -> None:
    hook = add(conn, owner, **STATES["open"])
    waiting = deliver(conn, hook, "retrying")
    operator = desk.browser("operator")

    operator.post("/webhooks/disable", webhook_id=hook)
    off = page.state_of(page.require(conn, hook))
    operator.post("/webhooks/enable", webhook_id=hook)

    assert off == "off"
    assert page.state_of(page.require(conn, hook)) == "closed"
    assert statuses(conn, hook) == {waiting: "cancelled"}
    assert [entry["action"] for entry in noted(conn)] == ["disable_webhook", "enable_webhook"]


def test_a_test_event_goes_out_and_too_many_are_refused(
    conn: Connection, desk: Desk, owner: UUID
) -> None:
    hook = add(conn, owner, is_active=False)
    operator = desk.browser("operator")

    for _ in range(20):
        operator.post("/webhooks/test", webhook_id=hook)
    answer = operator.send("/webhooks/test", csrf=operator.token, webhook_id=hook, why="x")

    assert answer[0] == 409
    assert "limit 20" in answer[1]
    assert len(statuses(conn, hook)) == len(noted(conn)) == 20
    assert UUID(noted(conn)[0]["details"]["delivery_id"]) in statuses(conn, hook)


def test_a_viewer_sees_no_button_and_changes_nothing(
    conn: Connection, desk: Desk, owner: UUID
) -> None:
    hook = add(conn, owner, **STATES["open"])
    one = deliver(conn, hook, "failed")
    viewer = desk.browser("viewer")

    shown = "".join(
        viewer.get(path)
        for path in ("/webhooks", f"/webhooks/{hook}", f"/webhooks/deliveries/{one}")
    )

    assert 'method="post" action="/webhooks/' not in shown
    for path in ("redeliver", "recover", "enable", "disable", "test"):
        answer = viewer.send(
            f"/webhooks/{path}", csrf=viewer.token, webhook_id=hook, delivery_id=one, why="x"
        )
        assert answer[0] == 403, path
    assert viewer.status(f"/webhooks/{hook}/recover?since=2020-01-01T00:00") == 403
    assert statuses(conn, hook) == {one: "failed"}


def test_what_is_not_there_is_said_so(desk: Desk) -> None:
    operator = desk.browser("operator")

    assert operator.status(f"/webhooks/{uuid4()}") == 404
    assert operator.status("/webhooks/x") == 404
    assert operator.status(f"/webhooks/deliveries/{uuid4()}") == 404
    for path, name in (("redeliver", "delivery_id"), ("enable", "webhook_id")):
        answer = operator.send(f"/webhooks/{path}", csrf=operator.token, why="x", **{name: uuid4()})
        assert answer[0] == 404
    assert "INSERT INTO webhooks" in operator.get("/webhooks")


def test_payloads_of_any_kind_are_shown_as_text(conn: Connection, desk: Desk, owner: UUID) -> None:
    hook = add(conn, owner)
    operator = desk.browser("operator")

    for data in ({"a": "x" * 300_000}, {}, {"list": [1, {"n": None}]}):
        one = deliver(conn, hook, "pending", attempt_count=0, event_data=data)
        assert len(operator.get(f"/webhooks/deliveries/{one}")) < 40_000
    conn.execute("UPDATE public.webhook_deliveries SET event_data = %s", [Jsonb("bare")])
    assert "redacted" in operator.get(f"/webhooks/deliveries/{one}")
