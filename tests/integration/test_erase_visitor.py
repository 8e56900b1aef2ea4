"""A visitor is forgotten: in every table, nobody else with them, and it is looked at."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from db import erasures
from db.acting import acting_as, acting_as_anon
from db.erasures import Request
from db.fence import Fence, LeaseLost
from db.pool import Connection, connect
from pipelines import erase_visitor
from pipelines.erase_visitor import run
from tests.integration.schema_world import OTHER, OWNER, insert
from tests.integration.visitor_world import (
    AGENT,
    EMAIL,
    IP,
    NAME,
    OTHERS_AGENT,
    PHONE,
    SAID,
    SECOND_AGENT,
    VISITOR,
    build_owners,
    find,
    held,
    leave_lead,
    leave_traces,
    one,
    talk,
)

NEEDLES = [VISITOR, EMAIL, "15550109999", "555) 010-9999", NAME, SAID, IP]


@pytest.fixture
def conn(conn: Connection) -> Connection:
    build_owners(conn)
    return conn


def ask(conn: Connection, agent: UUID = AGENT, *, by: UUID = OWNER, **who: str) -> UUID:
    with acting_as(conn, by):
        return erasures.request(conn, agent, **who)


def erase(conn: Connection, url: str, request_id: UUID) -> Request:
    with held(conn, url, request_id) as fence:
        run(fence, request_id=request_id)
    return state(conn, request_id)


def state(conn: Connection, request_id: UUID) -> Request:
    found = erasures.get(conn, request_id)
    assert found is not None
    return found


def talks(conn: Connection) -> set[UUID]:
    return {id for (id,) in conn.execute("SELECT id FROM conversations")}


class Dying(Fence):
    """A fence whose worker dies once it has written so many times."""

    left = 0

    @contextmanager
    def write(self) -> Iterator[Connection]:
        type(self).left -= 1
        if type(self).left < 0:
            raise LeaseLost("the worker died")
        with super().write() as conn:
            yield conn


def test_nothing_is_left_of_the_visitor_in_any_table(conn: Connection, database_url: str) -> None:
    leave_traces(conn)
    request_id = ask(conn, visitor_id=VISITOR)

    done = erase(conn, database_url, request_id)

    assert (done.state, done.remains) == ("done", {})
    assert find(conn, NEEDLES) == set()


def test_a_second_run_and_a_second_request_change_nothing(
    conn: Connection, database_url: str
) -> None:
    leave_traces(conn)
    first_id = ask(conn, email=EMAIL)
    first = erase(conn, database_url, first_id)

    conn.execute("UPDATE worker.jobs SET state = 'available' WHERE kind = 'erase_visitor'")
    again = erase(conn, database_url, first_id)
    conn.execute("UPDATE worker.jobs SET finished_at = now(), state = 'completed'")
    second_id = ask(conn, email=EMAIL)
    second = erase(conn, database_url, second_id)

    assert again == first
    assert second_id != first_id
    assert (second.state, second.counts, second.remains) == ("done", {}, {})


def test_killed_at_any_write_it_is_finished_by_the_next(
    conn: Connection, database_url: str
) -> None:
    leave_traces(conn)
    request_id = ask(conn, visitor_id=VISITOR)

    deaths = 0
    with held(conn, database_url, request_id) as fence:
        while state(conn, request_id).state != "done":
            Dying.left = 2 + 5 * deaths
            try:
                run(Dying(fence.pool, fence.job_id, fence.attempt), request_id=request_id)
            except LeaseLost:
                deaths += 1

    assert deaths > 5
    assert find(conn, NEEDLES) == set()


def test_two_at_once_are_both_done(conn: Connection, database_url: str) -> None:
    leave_traces(conn)
    for number in range(40):
        talk(conn, visitor=VISITOR, said=f"{SAID} {number}")
    asked = [ask(conn, visitor_id=VISITOR), ask(conn, email=EMAIL)]

    def work(request_id: UUID) -> Request:
        with connect(database_url, autocommit=True) as own:
            return erase(own, database_url, request_id)

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(work, asked))

    assert [request.state for request in done] == ["done", "done"]
    assert find(conn, NEEDLES) == set()


def test_a_visitor_that_nobody_knows_is_done_with_nothing(
    conn: Connection, database_url: str
) -> None:
    kept = talk(conn)
    request_id = ask(conn, visitor_id="nobody", email="nobody@example.com")

    done = erase(conn, database_url, request_id)

    assert (done.state, done.counts, done.remains) == ("done", {}, {})
    assert talks(conn) == {kept}


def test_of_other_agents_nothing_is_touched(conn: Connection, database_url: str) -> None:
    for agent in (SECOND_AGENT, OTHERS_AGENT):
        lead = leave_lead(conn, agent, talk(conn, agent), name=NAME, phone=PHONE)
        conn.execute("UPDATE leads SET notes = 'call' WHERE id = %s", (lead,))
        conn.execute("UPDATE leads SET email = upper(email) WHERE id = %s", (lead,))
    before = census(conn)
    leave_lead(conn, AGENT, talk(conn), name=NAME, phone=PHONE)

    done = erase(conn, database_url, ask(conn, visitor_id=VISITOR, email=EMAIL))

    assert (done.state, done.remains) == ("done", {})
    assert census(conn) == before


def census(conn: Connection) -> dict[str, str]:
    """What stands in the tables that tell of visitors, but for what an erasure adds."""
    tables = (
        "conversations", "messages", "leads", "analytics_events", "notifications",
        "webhook_deliveries", "email_logs", "activity_logs",
    )  # fmt: skip
    found = {}
    for table in tables:
        where = {"activity_logs": "action <> 'erased'", "webhook_deliveries": "event_data <> %s"}
        query = f"SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY id)), '') FROM {table} AS t"
        query += f" WHERE {where.get(table, 'true')}"
        values = ('{"erased": true}',) if table == "webhook_deliveries" else ()
        found[table] = one(conn, query, *values)[0]
    return found


LOOK_ALIKES = {
    "1": "11",
    "%": "visitor-8",
    "_": "a",
    "visitor-9f3a": "visitor-9f3a-2",
    "a.c45678": "abc45678",
    "ann+x": "ann",
    'q"\\1': "q1",
    "Visitor-7F3A": VISITOR,
}


def test_ids_that_look_alike_are_others(conn: Connection, database_url: str) -> None:
    for erased, kept in LOOK_ALIKES.items():
        details = {"size": erased} if len(erased) < 8 else {}
        others = talk(conn, visitor=kept, email=f"jo{EMAIL}", visitor_metadata=details)
        leave_lead(conn, AGENT, others, email=f"jo{EMAIL}", custom_fields=details)
    before = census(conn)
    for erased in LOOK_ALIKES:
        talk(conn, visitor=erased)

        done = erase(conn, database_url, ask(conn, visitor_id=erased))

        assert (done.state, done.remains) == ("done", {})
    assert census(conn) == before


def test_an_address_leads_to_all_that_a_person_did_and_to_nobody_else(
    conn: Connection, database_url: str
) -> None:
    talk(conn, visitor="phone", email=EMAIL.upper())
    talk(conn, visitor="phone", email=None)
    talk(conn, visitor="desk", email=None, visitor_metadata={"contact": f"<{EMAIL}>"})
    leave_lead(conn, AGENT, talk(conn, visitor="tablet", email=None), phone=PHONE)
    leave_lead(conn, AGENT, None, email=None, phone="+15550109999")
    talk(conn, visitor="kiosk", email=EMAIL)
    shared = talk(conn, visitor="kiosk", email="bob@example.com")
    stranger = talk(conn, visitor="x", email=f"jo{EMAIL}")

    done = erase(conn, database_url, ask(conn, email=f" {EMAIL.title()} "))

    assert done.state == "done"
    assert talks(conn) == {shared, stranger}
    assert one(conn, "SELECT count(*) FROM leads")[0] == 0


def test_the_owners_account_is_not_the_visitors(conn: Connection, database_url: str) -> None:
    talk(conn, email="owner@example.com")
    (mails,) = one(conn, "SELECT count(*) FROM email_logs WHERE to_email = 'owner@example.com'")

    done = erase(conn, database_url, ask(conn, email="owner@example.com"))

    assert done.state == "done"
    assert talks(conn) == set()
    assert mails > 0
    assert find(conn, ["owner@example.com"]) == {
        ("public.user_profiles", "email"),
        ("public.email_logs", "to_email"),
    }


def test_somebody_elses_words_are_reported_until_they_are_gone(
    conn: Connection, database_url: str
) -> None:
    talk(conn)
    talk(conn, visitor="colleague", email=None, said=f"Ask my colleague {EMAIL}.")
    request_id = ask(conn, email=EMAIL)

    first = erase(conn, database_url, request_id)
    conn.execute("UPDATE worker.jobs SET state = 'completed', finished_at = now()")
    conn.execute("UPDATE messages SET content = 'Ask my colleague.' WHERE content LIKE 'Ask%'")
    conn.execute("UPDATE webhook_deliveries SET event_data = '{}'")
    again_id = ask(conn, email=EMAIL)
    second = erase(conn, database_url, again_id)

    assert (first.state, first.remains["public.messages"], first.email) == ("incomplete", 1, EMAIL)
    assert again_id == request_id
    assert (second.state, second.remains) == ("done", {})


def test_who_goes_on_chatting_meanwhile_is_met_again(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(conn)
    request_id = ask(conn, visitor_id=VISITOR)
    look = erase_visitor.look
    came = iter([True, True])

    def chat_and_look(db: Fence, request_id: UUID) -> dict[str, int]:
        if next(came, False):
            talk(conn)
        return look(db, request_id)

    monkeypatch.setattr(erase_visitor, "look", chat_and_look)
    done = erase(conn, database_url, request_id)

    assert (done.state, done.counts["public.conversations"]) == ("done", 3)
    assert talks(conn) == set()


def test_once_it_is_done_only_a_hash_says_who_it_was(conn: Connection, database_url: str) -> None:
    leave_traces(conn)
    request_id = ask(conn, visitor_id=VISITOR, email=EMAIL)
    (asked,) = one(conn, "SELECT identity_hash FROM worker.erasure_requests")

    done = erase(conn, database_url, request_id)

    assert (done.visitor_id, done.email) == (None, None)
    assert one(conn, "SELECT identity_hash FROM worker.erasure_requests")[0] == asked
    assert len(asked) == 32
    assert one(conn, "SELECT count(*) FROM worker.erased_rows")[0] == 0
    trail = one(conn, "SELECT user_id, resource_id, changes FROM activity_logs"
                      " WHERE action = 'erased'")  # fmt: skip
    assert trail == (OWNER, request_id, {"agent_id": str(AGENT), "counts": done.counts})


def test_counters_are_those_of_the_rows_that_are_left(conn: Connection, database_url: str) -> None:
    leave_lead(conn, AGENT, talk(conn))
    leave_lead(conn, AGENT, talk(conn, visitor="other", email=None), email="bob@example.com")

    erase(conn, database_url, ask(conn, visitor_id=VISITOR))

    counters = "SELECT total_conversations, total_messages, total_leads FROM agents WHERE id = %s"
    assert one(conn, counters, AGENT) == (1, 2, 1)
    marked = one(conn, "SELECT count(*) FROM worker.stats_marks WHERE agent_id = %s", AGENT)
    assert marked[0] > 0


def test_an_event_that_waits_is_cancelled_and_never_sent(
    conn: Connection, database_url: str
) -> None:
    talk(conn)

    erase(conn, database_url, ask(conn, visitor_id=VISITOR))
    with acting_as(conn, OWNER):
        conn.execute("SELECT redeliver_webhooks(ARRAY(SELECT id FROM webhook_deliveries))")

    found = conn.execute(
        "SELECT DISTINCT status, event_data::text, error_message FROM webhook_deliveries"
    ).fetchall()
    assert found == [
        ("cancelled", '{"erased": true}', "cancelled: this event told of a visitor who was erased")
    ]
    jobs = "SELECT DISTINCT state FROM worker.jobs WHERE kind = 'deliver_webhook'"
    assert one(conn, jobs) == ("cancelled",)


def test_a_short_message_erases_no_example_that_an_owner_wrote(
    conn: Connection, database_url: str
) -> None:
    talk(conn, said="Hi")
    example = {"agent_id": AGENT, "input": "Hi", "expected_output": "Hello!"}
    insert(conn, "training_examples", example)
    insert(conn, "training_examples", example | {"source": "conversation"})

    erase(conn, database_url, ask(conn, visitor_id=VISITOR))

    left = conn.execute("SELECT source FROM training_examples").fetchall()
    assert left == [("manual",)]


def test_events_of_the_same_address_stay_without_it(conn: Connection, database_url: str) -> None:
    talk(conn, visitor_ip=IP)
    event = {"agent_id": AGENT, "event_type": "widget_opened", "ip_address": IP}
    insert(conn, "analytics_events", event)
    insert(conn, "analytics_events", event | {"visitor_id": "neighbour"})

    erase(conn, database_url, ask(conn, visitor_id=VISITOR))

    left = conn.execute(
        "SELECT visitor_id, host(ip_address) FROM analytics_events ORDER BY visitor_id NULLS LAST"
    ).fetchall()
    assert left == [("neighbour", IP), (None, None)]


def test_only_an_agents_owner_asks(conn: Connection) -> None:
    with pytest.raises(psycopg.errors.NoDataFound, match="no agent"):
        ask(conn, AGENT, by=OTHER, visitor_id=VISITOR)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), acting_as_anon(conn):
        erasures.request(conn, AGENT, visitor_id=VISITOR)
    with pytest.raises(psycopg.errors.NoDataFound):
        ask(conn, uuid4(), visitor_id=VISITOR)

    request_id = ask(conn, visitor_id=VISITOR)

    with acting_as(conn, OTHER):
        assert one(conn, "SELECT count(*) FROM get_visitor_erasures(%s)", AGENT) == (0,)
    with acting_as(conn, OWNER):
        seen = one(conn, "SELECT id, state FROM get_visitor_erasures(%s)", AGENT)
    assert seen == (request_id, "requested")


def test_what_names_nobody_is_refused(conn: Connection) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "is needed"),
        ({"visitor_id": ""}, "is empty"),
        ({"visitor_id": " "}, "is empty"),
        ({"email": ""}, "no email address"),
        ({"email": "ann"}, "no email address"),
        ({"visitor_id": "v", "email": "a b@c"}, "no email address"),
        ({"visitor_id": "v" * 1001}, "1001 characters, limit 1000"),
    ]

    for who, says in refused:
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=says):
            ask(conn, **who)


def test_asked_twice_it_is_one_request_and_one_job(conn: Connection) -> None:
    first = ask(conn, visitor_id=VISITOR)
    second = ask(conn, visitor_id=VISITOR)

    assert first == second
    jobs = "SELECT count(*) FROM worker.jobs WHERE kind = 'erase_visitor'"
    assert one(conn, jobs) == (1,)
