"""Email: which mails did not go out, which are uncertain; nobody's address on a page."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.rows import dict_row

from db import badges, suppressions, watched_emails
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from tests.integration import schema_world as world
from workers.dashboard.pages import email as page

ROWS = re.compile(r'data-open href="/email/([0-9a-f-]{36})"')


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def add(conn: Connection, status: str, *, minutes: float = 5, **columns: Any) -> UUID:
    """A mail in that state, and no job of it."""
    id = uuid4()
    values = {
        "id": id, "to_email": "jane@example.com", "email_type": "welcome", "status": status,
        "created_at": datetime.now(UTC) - timedelta(minutes=minutes), **columns,
    }  # fmt: skip
    with conn.transaction():
        conn.execute("SET LOCAL session_replication_role = replica")
        world.insert(conn, "email_logs", values)
    return id


def statuses(conn: Connection) -> dict[UUID, str]:
    return dict(conn.execute("SELECT id, status FROM public.email_logs").fetchall())


def count_jobs(conn: Connection) -> int:
    row = conn.execute("SELECT count(*) FROM worker.jobs WHERE kind = 'send_email'").fetchone()
    assert row is not None
    return int(row[0])


def noted(conn: Connection) -> list[dict[str, Any]]:
    cursor = conn.cursor(row_factory=dict_row)
    query = "SELECT action, target, role, why, details FROM worker.audit_log ORDER BY id"
    return cursor.execute(query).fetchall()


def test_counts_are_those_of_the_rows(conn: Connection) -> None:
    for number, status in enumerate(watched_emails.STATES, 1):
        for _ in range(number):
            add(conn, status)
        add(conn, status, minutes=60 * 30)
        add(conn, status, minutes=60 * 24 * 8)

    counts = watched_emails.count_states(conn)

    assert {status: (found.day, found.week) for status, found in counts.items()} == {
        status: (number, number + 1) for number, status in enumerate(watched_emails.STATES, 1)
    }
    # However old: what nobody settled is still to settle.
    assert watched_emails.count_unsettled(conn) == badges.count(conn).uncertain_emails == 3


def test_the_uncertain_come_first_with_what_is_known_of_them(conn: Connection, desk: Desk) -> None:
    add(conn, "sent")
    lost = add(conn, "uncertain", minutes=90, error_message="It broke off.", provider="smtp")
    conn.execute(
        "INSERT INTO worker.email_sendings (email_id, message_id, provider, handed_at)"
        " VALUES (%s, '<mail-7@shop.example>', 'smtp', now() - interval '89 min')",
        [lost],
    )
    viewer = desk.browser("viewer")

    shown, one = viewer.get("/email"), viewer.get(f"/email/{lost}")

    assert ROWS.findall(shown)[0] == str(lost)
    assert "handed to" in shown
    assert "&lt;mail-7@shop.example&gt;" in one
    assert "Nobody knows whether it" in one


def test_reasons_are_grouped_and_holds_are_told(conn: Connection, desk: Desk) -> None:
    for number in range(7):
        add(conn, "failed", error_message=f"550 5.1.1 <u{number}@example.com>: unknown")
    add(conn, "failed", error_message="The template needs full_name.")
    add(conn, "queued", error_message="The provider asks for 40 s of rest.")
    conn.execute(
        "INSERT INTO worker.buckets (lane, tokens, filled_at) VALUES ('mail:resend:ab', -9, now())"
    )
    conn.execute("INSERT INTO worker.pauses (scope, name) VALUES ('queue', 'email')")

    shown = desk.browser("viewer").get("/email")

    failed = shown.partition("Why they failed")[2].partition("What waits")[0]
    assert re.findall(r"<b>(\d+)</b>", failed) == ["7", "1"]
    for told in ("asks for 40 s of rest", "asked for a break", "Sending is paused"):
        assert told in shown


def test_a_list_is_filtered_and_paged_without_gaps(conn: Connection, desk: Desk) -> None:
    ids = [add(conn, "sent", minutes=number // 2) for number in range(page.PAGE_ROWS + 5)]
    other = add(
        conn, "bounced", to_email="Tom <TOM@other.example>", email_type="invoice", minutes=300,
        error_message="mailbox 100% full",
    )  # fmt: skip
    viewer = desk.browser("viewer")

    first = viewer.get("/email?type=welcome")
    older = re.search(r'href="(/email\?[^"]*before=[^"]*)"', first)
    assert older is not None
    second = viewer.get(older[1].replace("&amp;", "&"))

    assert sorted(ROWS.findall(first) + ROWS.findall(second)) == sorted(map(str, ids))
    for query in ("status=bounced", "to=tom@other.example", "q=100%25", "type=invoice",
                  f"q={other}", "status=bounced&since=24h"):  # fmt: skip
        assert ROWS.findall(viewer.get(f"/email?{query}")) == [str(other)], query
    assert ROWS.findall(viewer.get("/email?status=bounced&since=1h")) == []
    for query in ("status=x", "since=2y", "tenant=x", "before=1", "address=nobody", "q=%00"):
        assert viewer.status(f"/email?{query}") == 400, query


def test_no_page_shows_an_address_a_subject_a_body_or_markup(conn: Connection, desk: Desk) -> None:
    mail = add(
        conn, "uncertain", to_email='"Jane <i>" <jane.secret@private.example>',
        subject="SUBJECTTEXT", template_data={"text": "BODYTEXT"},
        email_type="<script>alert(1)</script>", provider="<b>p</b>",
        error_message="550 <jane.secret@private.example> said <img src=x onerror=alert(2)>",
    )  # fmt: skip
    conn.execute(
        "INSERT INTO worker.email_events (email_id, provider, type, at, details) VALUES"
        " (%s, 'resend', 'bounced', now(), '{\"reason\": \"<jane.secret@private.example> no\"}')",
        [mail],
    )
    suppressions.add(conn, "jane.secret@private.example", "bounced", note="<u>jane.secret@x.y</u>")
    operator = desk.browser("operator")

    shown = operator.get("/email") + operator.get(f"/email/{mail}")

    for secret in ("jane.secret", "SUBJECTTEXT", "BODYTEXT"):
        assert secret not in shown, secret
    for markup in ("<script>alert", "<img src=x", "<b>p</b>", "<u>j"):
        assert markup not in shown, markup
    assert "j***@private.example" in shown
    assert "redacted, 11" in shown


def test_a_mail_is_revealed_to_operators_and_that_is_noted(conn: Connection, desk: Desk) -> None:
    mail = add(conn, "sent", to_email="jane@private.example", subject="For you",
               template_data={"text": "BODYTEXT"})  # fmt: skip
    operator, viewer = desk.browser("operator"), desk.browser("viewer")
    path = f"/email/{mail}/reveal"

    status, shown = operator.send(path, csrf=operator.token, why="customer asked")
    refused = viewer.send(path, csrf=viewer.token, why="curious")

    assert (status, refused[0]) == (200, 403)
    for told in ("jane@private.example", "For you"):
        assert told in shown
    assert "BODYTEXT" not in shown
    (entry,) = noted(conn)
    assert (entry["action"], entry["target"]) == ("reveal_email", f"email {mail}")
    assert "jane" not in str(entry)


@pytest.mark.parametrize(
    ("status", "outcome", "becomes", "jobs"),
    [
        ("uncertain", "sent", "sent", 0),
        ("uncertain", "failed", "failed", 0),
        ("uncertain", "resend", "queued", 1),
        ("failed", "resend", "queued", 1),
    ],
)
def test_settling_does_what_was_said(
    conn: Connection, desk: Desk, status: str, outcome: str, becomes: str, jobs: int
) -> None:
    mail, other = add(conn, status), add(conn, status)

    desk.browser("operator").post("/email/settle", email_id=mail, outcome=outcome, why="asked them")

    assert statuses(conn) == {mail: becomes, other: status}
    assert count_jobs(conn) == jobs
    (entry,) = noted(conn)
    assert (entry["action"], entry["target"], entry["why"]) == (
        "settle_email", f"email {mail}", "asked them"
    )  # fmt: skip
    assert entry["details"] == {"outcome": outcome, "status": becomes}


def test_what_is_settled_already_is_refused_and_not_noted(conn: Connection, desk: Desk) -> None:
    mail = add(conn, "sent")
    operator = desk.browser("operator")

    for id, outcome in ((mail, "sent"), (mail, "resend"), (uuid4(), "sent")):
        answer = operator.send(
            "/email/settle", csrf=operator.token, email_id=id, outcome=outcome, why="x"
        )
        assert answer[0] == 409
    bad = operator.send(
        "/email/settle", csrf=operator.token, email_id=mail, outcome="eaten", why="x"
    )

    assert bad[0] == 400
    assert statuses(conn) == {mail: "sent"}
    assert noted(conn) == []


def test_what_the_preview_counts_is_what_is_sent_again(conn: Connection, desk: Desk) -> None:
    wanted = [add(conn, "failed", error_message="busy 451") for _ in range(3)]
    spared = [add(conn, "failed", error_message="unknown"), add(conn, "uncertain")]
    operator = desk.browser("operator")

    seen = operator.get("/email/settle-all?status=failed&outcome=resend&q=busy")
    spared.append(add(conn, "failed", error_message="busy 452"))
    before = statuses(conn)
    done = operator.press(seen, "/email/settle-all")
    again = operator.press(seen, "/email/settle-all")

    assert "Send 3 again</button>" in seen
    after = statuses(conn)
    assert {id: after[id] for id in wanted} == dict.fromkeys(wanted, "queued")
    assert {id: after[id] for id in spared} == {id: before[id] for id in spared}
    assert done[0] == again[0] == 303
    (entry,) = noted(conn)
    assert (entry["action"], entry["details"]["outcome"]) == ("settle_emails", "resend")
    assert sorted(entry["details"]["ids"]) == sorted(map(str, wanted))


def test_a_mail_that_somebody_settled_meanwhile_stays_as_it_is(
    conn: Connection, desk: Desk
) -> None:
    left, settled = add(conn, "uncertain"), add(conn, "uncertain")
    operator = desk.browser("operator")

    seen = operator.get("/email/settle-all?status=uncertain&outcome=resend")
    operator.post("/email/settle", email_id=settled, outcome="failed")
    answer = operator.press(seen, "/email/settle-all")

    assert answer[0] == 303
    assert statuses(conn) == {left: "queued", settled: "failed"}


def test_no_more_than_the_cap(
    conn: Connection, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        add(conn, "uncertain")
    operator = desk.browser("operator")
    path = "/email/settle-all?status=uncertain&outcome=sent"

    all_of_them = operator.get(path)
    monkeypatch.setattr(page, "BULK_MAX", 2)
    seen = operator.get(path)
    beyond = operator.press(all_of_them, "/email/settle-all")
    done = operator.press(seen, "/email/settle-all")

    assert (beyond[0], done[0]) == (400, 303)
    assert "Mark 2 as sent</button>" in seen
    assert "beyond the cap of 2" in seen
    assert sorted(statuses(conn).values()) == ["sent", "sent", "uncertain", "uncertain"]


@pytest.mark.parametrize("query", ["", "status=sent&outcome=sent", "status=failed&outcome=sent"])
def test_only_failed_and_uncertain_ones_are_changed_together(desk: Desk, query: str) -> None:
    assert desk.browser("operator").status(f"/email/settle-all?{query}") == 400


def test_addresses_are_suppressed_found_by_their_hash_and_lifted(
    conn: Connection, desk: Desk
) -> None:
    suppressions.add(conn, "other@example.com", "complained")
    operator = desk.browser("operator")

    operator.post(
        "/email/suppress", address="Jane@Example.com", note="asked by phone", next="/email"
    )
    again = operator.send(
        "/email/suppress", csrf=operator.token, address="jane@example.com", why="x"
    )
    found = operator.get("/email?address=JANE@example.com")
    lift = re.search(r'name="suppression_id" value="(\d+)"', found)
    assert lift is not None
    operator.post("/email/lift", suppression_id=lift[1])
    gone = operator.send("/email/lift", csrf=operator.token, suppression_id=lift[1], why="x")

    assert (again[0], gone[0]) == (409, 404)
    assert found.count('name="suppression_id"') == 1
    (left,) = suppressions.list_suppressions(conn, rows_max=9)
    assert left.address == "other@example.com"
    told = str(noted(conn))
    assert [entry["action"] for entry in noted(conn)] == ["suppress_address", "lift_suppression"]
    assert "jane@" not in told.lower()
    assert "j***@example.com" in told


def test_lifting_one_of_several_reasons_does_not_promise_mail(conn: Connection, desk: Desk) -> None:
    for reason in ("manual", "bounced"):
        suppressions.add(conn, "jane@example.com", reason)
    first, second = (each.id for each in suppressions.list_suppressions(conn, rows_max=9))
    operator = desk.browser("operator")

    operator.post("/email/lift", suppression_id=first)
    one_left = operator.get("/email")
    operator.post("/email/lift", suppression_id=second)
    none_left = operator.get("/email")

    assert "Lifted; 1 more of that address still hold" in one_left
    assert "goes there again" not in one_left
    assert "Lifted: mail goes there again" in none_left


def test_who_is_refused_on_the_spot_is_not_said_to_be_suppressed(desk: Desk) -> None:
    page = " ".join(desk.browser("viewer").get("/email").split())

    assert "A server that refuses a mail as it is handed over fails that mail alone" in page
    assert "when its server refused" not in page


def test_a_viewer_sees_no_button_and_changes_nothing(conn: Connection, desk: Desk) -> None:
    mail = add(conn, "uncertain")
    suppressions.add(conn, "jane@example.com", "bounced")
    viewer = desk.browser("viewer")

    shown = viewer.get("/email") + viewer.get(f"/email/{mail}") + viewer.get("/email?status=failed")

    assert 'action="/email/' not in shown
    assert "settle-all" not in shown
    for path in ("settle", "settle-all", "suppress", "lift"):
        answer = viewer.send(f"/email/{path}", csrf=viewer.token, email_id=mail, why="x")
        assert answer[0] == 403, path
    assert viewer.status("/email/settle-all?status=uncertain&outcome=sent") == 403
    assert statuses(conn) == {mail: "uncertain"}


def test_an_empty_page_teaches_and_what_is_not_there_is_said_so(desk: Desk) -> None:
    viewer = desk.browser("viewer")

    assert "INSERT INTO email_logs" in viewer.get("/email")
    assert viewer.status(f"/email/{uuid4()}") == 404
    assert viewer.status("/email/x") == 404


def test_a_mail_shows_its_history(conn: Connection, desk: Desk) -> None:
    mail = add(conn, "opened", sent_at=datetime.now(UTC), opened_at=datetime.now(UTC))
    for type, by_bot in (("delivered", False), ("opened", True), ("opened", False)):
        conn.execute(
            "INSERT INTO worker.email_events (email_id, provider, type, at, by_bot, applied)"
            " VALUES (%s, 'avivro', %s, now(), %s, true)",
            [mail, type, by_bot],
        )

    shown = desk.browser("viewer").get(f"/email/{mail}")

    history = shown.partition("What became of it")[2].partition("</ol>")[0]
    assert re.findall(r"</svg>(\w+)</span>", history) == [
        "written", "sent", "delivered", "opened", "opened"
    ]  # fmt: skip
    assert history.count("by a machine") == 1
