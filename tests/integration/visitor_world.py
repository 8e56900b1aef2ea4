"""A visitor who left a trace wherever one can be left, and others who look much like them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from psycopg import sql
from psycopg.types.json import Jsonb

from db import processes
from db.fence import Fence
from db.pool import Connection, open_pool
from tests.integration.schema_world import OTHER, OWNER, insert, row_id, sign_up

VISITOR = "visitor-7f3a"
EMAIL = "ann@example.com"
PHONE = "+1 (555) 010-9999"
NAME = "Ann Example"
SAID = "I cannot log in since Tuesday, and I am upset"
AGENT = row_id("agents", OWNER)
SECOND_AGENT = UUID("00000000-0000-4000-8000-0000000000aa")
OTHERS_AGENT = row_id("agents", OTHER)
IP = "203.0.113.77"


def build_owners(conn: Connection) -> None:
    """Two owners with an agent each, and a second one of the first; all webhooks listen."""
    for user, email in ((OWNER, "owner@example.com"), (OTHER, "other@example.com")):
        sign_up(conn, user, email)
    for user, agent in ((OWNER, AGENT), (OWNER, SECOND_AGENT), (OTHER, OTHERS_AGENT)):
        insert(
            conn,
            "agents",
            {
                "id": agent,
                "user_id": user,
                "name": "Agent",
                "system_prompt": "s",
                "is_published": True,
            },
        )
    for user in (OWNER, OTHER):
        conn.execute(
            "INSERT INTO webhooks (id, user_id, name, url, events)"
            " VALUES (%s, %s, 'w', 'https://hook.example', ARRAY['*'])",
            (row_id("webhooks", user), user),
        )


def talk(
    conn: Connection,
    agent: UUID = AGENT,
    *,
    visitor: str = VISITOR,
    email: str | None = EMAIL,
    said: str = SAID,
    **more: Any,
) -> UUID:
    """A conversation with a question, an answer and an event; its id."""
    id = uuid4()
    values = {
        "id": id,
        "agent_id": agent,
        "visitor_id": visitor,
        "visitor_email": email,
        "visitor_name": NAME,
    }
    insert(conn, "conversations", values | more)
    insert(conn, "messages", {"conversation_id": id, "role": "user", "content": said})
    insert(conn, "messages", {"conversation_id": id, "role": "assistant", "content": "Sorry."})
    insert(
        conn,
        "analytics_events",
        {
            "agent_id": agent,
            "event_type": "widget_opened",
            "visitor_id": visitor,
            "conversation_id": id,
            "session_id": f"session-of-{visitor}",
        },
    )
    return id


def leave_lead(conn: Connection, agent: UUID, conversation: UUID | None, **values: Any) -> UUID:
    id = uuid4()
    known = {"id": id, "agent_id": agent, "conversation_id": conversation, "email": EMAIL}
    insert(conn, "leads", known | values)
    return id


def leave_traces(conn: Connection) -> None:
    """The visitor's traces in every column that a test names as one that can hold them."""
    talked = talk(
        conn,
        visitor_phone=PHONE,
        visitor_ip=IP,
        visitor_location=f"{NAME}'s home",
        visitor_metadata={"mail": EMAIL},
    )
    lead = leave_lead(
        conn,
        AGENT,
        talked,
        name=NAME,
        phone="15550109999",
        company=f"{NAME} Ltd",
        custom_fields={"twitter": VISITOR},
        notes=f"call {NAME}",
        tags=[NAME],
        interest_level=NAME,
        utm_source=VISITOR,
        utm_medium=VISITOR,
        utm_campaign=VISITOR,
    )
    conn.execute("UPDATE leads SET notes = %s WHERE id = %s", (f"called {NAME}", lead))
    (message,) = one(
        conn, "SELECT id FROM messages WHERE conversation_id = %s AND role = 'user'", talked
    )
    leave_in_training(conn, talked, message)
    leave_in_logs(conn, talked, lead, message)
    leave_in_mails(conn, lead)
    leave_in_deliveries(conn)
    leave_in_jobs(conn, lead)


def leave_in_training(conn: Connection, talked: UUID, message: UUID) -> None:
    (answer,) = one(
        conn, "SELECT id FROM messages WHERE conversation_id = %s AND role = 'assistant'", talked
    )
    insert(
        conn,
        "corrections",
        {
            "agent_id": AGENT,
            "message_id": answer,
            "conversation_id": talked,
            "original_response": f"Sorry, {NAME}",
            "corrected_response": f"Dear {NAME}",
            "reason": f"{NAME} asked",
            "feedback_notes": EMAIL,
            "status": "approved",
        },
    )
    insert(
        conn,
        "training_examples",
        {
            "agent_id": AGENT,
            "input": f"They wrote: {SAID}",
            "expected_output": f"Dear {NAME}",
            "category": f"mails of {EMAIL}",
            "tags": [EMAIL],
        },
    )
    conn.execute(
        "INSERT INTO sentiment_analysis"
        " (conversation_id, message_id, agent_id, overall_score, label, topics, keywords)"
        " VALUES (%s, %s, %s, -0.5, 'negative', %s, %s)",
        (talked, message, AGENT, [NAME], [EMAIL]),
    )


def leave_in_logs(conn: Connection, talked: UUID, lead: UUID, message: UUID) -> None:
    event = {"agent_id": AGENT, "event_type": "lead_form", "ip_address": IP, "user_agent": IP}
    own = {"session_id": "s-1", "event_data": {"mail": EMAIL}, "visitor_id": VISITOR}
    insert(conn, "analytics_events", event | own | {"country": NAME, "city": NAME})
    insert(conn, "analytics_events", event | {"session_id": "s-1"})
    insert(conn, "analytics_events", event | {"event_data": {"mail": EMAIL.upper()}})
    insert(conn, "analytics_events", event)
    told = {"user_id": OWNER, "type": "new_message"}
    insert(conn, "notifications", told | {"title": f"{NAME} waits", "message": "Call back."})
    insert(
        conn,
        "notifications",
        told | {"title": "t", "message": "New.", "action_url": f"/conversations/{talked}"},
    )
    conn.execute(
        "INSERT INTO activity_logs"
        " (user_id, action, resource_type, resource_id, description, ip_address, user_agent)"
        " VALUES (%s, 'exported', 'lead', %s, %s, %s, %s)",
        (OWNER, lead, f"exported {NAME}", IP, f"app of {NAME}"),
    )
    insert(
        conn,
        "usage_logs",
        {
            "user_id": OWNER,
            "agent_id": AGENT,
            "usage_type": "message",
            "metadata": {"message_id": str(message)},
        },
    )


def leave_in_mails(conn: Connection, lead: UUID) -> None:
    mail = uuid4()
    insert(
        conn,
        "email_logs",
        {
            "id": mail,
            "user_id": OWNER,
            "to_email": f"{NAME} <{EMAIL}>",
            "email_type": "follow_up",
            "subject": f"Hello {NAME}",
            "template_data": {"lead_id": str(lead)},
            "error_message": f"{EMAIL} is full",
            "provider_message_id": f"1.{VISITOR}@example.com",
            "status": "sent",
        },
    )
    conn.execute(
        "INSERT INTO worker.email_sendings (email_id, message_id, request) VALUES (%s, %s, %s)",
        (mail, f"<1.{VISITOR}@example.com>", EMAIL.encode()),
    )
    for known in (mail, None):
        conn.execute(
            "INSERT INTO worker.email_events (email_id, provider, provider_message_id,"
            " provider_event_id, type, at, address_hash, details) VALUES"
            " (%s, 'resend', %s, %s, 'bounced', now(), sha256(convert_to(%s, 'UTF8')), %s)",
            (known, f"1.{VISITOR}", f"{VISITOR}{known}", EMAIL, Jsonb({"to": EMAIL})),
        )
    conn.execute(
        "INSERT INTO worker.suppressions (address, address_hash, reason, note)"
        " VALUES (%s, '', 'bounced', %s)",
        (EMAIL, f"{NAME} left the firm"),
    )


def leave_in_deliveries(conn: Connection) -> None:
    """Of one that arrived, and one that waits; their event is the lead's."""
    first, second = (
        id for (id,) in conn.execute(
            "SELECT d.id FROM webhook_deliveries AS d JOIN webhooks AS w ON w.id = d.webhook_id"
            " WHERE w.user_id = %s AND d.event_type LIKE 'lead.%%' ORDER BY d.event_type",
            (OWNER,),
        ).fetchall()[:2]
    )  # fmt: skip
    conn.execute(
        "UPDATE webhook_deliveries SET status = 'delivered', response_body = %s WHERE id = %s",
        (f"hello {EMAIL}", first),
    )
    conn.execute(
        "UPDATE webhook_deliveries SET status = 'retrying', error_message = %s WHERE id = %s",
        (f"no mailbox {EMAIL}", second),
    )
    for delivery in (first, second):
        conn.execute(
            "INSERT INTO worker.delivery_bodies (delivery_id, body) VALUES (%s, %s)",
            (delivery, json.dumps({"data": {"email": EMAIL}})),
        )
        conn.execute(
            "INSERT INTO worker.delivery_attempts"
            " (delivery_id, attempt, error_message, response_excerpt) VALUES (%s, 1, %s, %s)",
            (delivery, f"no mailbox {EMAIL}", f"hello {EMAIL}"),
        )


def leave_in_jobs(conn: Connection, lead: UUID) -> None:
    told = Jsonb({"lead_id": str(lead)})
    (job,) = one(
        conn,
        "INSERT INTO worker.jobs (kind, queue, tenant, state, args, unique_key, max_attempts,"
        " finished_at, errors, progress, result, waited)"
        " VALUES ('probe', 'default', %s, 'discarded', %s, %s, 1, now(), %s, %s, %s, %s)"
        " RETURNING id",
        OWNER,
        told,
        str(lead),
        Jsonb([{"attempt": 1, "error": f"no mailbox {EMAIL}"}]),
        told,
        told,
        told,
    )
    conn.execute(
        "INSERT INTO worker.job_logs (job_id, attempt, at, level, logger, message)"
        " VALUES (%s, 1, now(), 'INFO', 'test', %s)",
        (job, f"wrote to {EMAIL}"),
    )
    conn.execute("INSERT INTO worker.lead_marks (agent_id, lead_id) VALUES (%s, %s)", (AGENT, lead))


def one(conn: Connection, query: str, *values: object) -> tuple[Any, ...]:
    row = conn.execute(query.encode(), values).fetchone()
    assert row is not None
    return row


def columns(conn: Connection) -> dict[str, list[str]]:
    """Every column of every table in which words, JSON, addresses or bytes can stand."""
    found = conn.execute(
        "SELECT format('%s.%s', n.nspname, c.relname), array_agg(a.attname::text)"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE n.nspname IN ('public', 'worker') AND c.relkind IN ('r', 'p')"
        " AND replace(format_type(a.atttypid, NULL), '[]', '') IN"
        " ('text', 'character varying', 'json', 'jsonb', 'inet', 'cidr', 'bytea', 'xml')"
        " GROUP BY 1"
    )
    return dict(found.fetchall())


def find(conn: Connection, needles: list[str]) -> set[tuple[str, str]]:
    """(table, column) in which one of the words stands, in any case, or as bytes."""
    hits = set()
    spellings = {needle.lower() for needle in needles} | {
        needle.encode().hex() for needle in needles
    }
    for table, names in columns(conn).items():
        for name in names:
            rows = conn.execute(
                sql.SQL("SELECT {}::text FROM {}").format(
                    sql.Identifier(name), sql.Identifier(*table.split("."))
                )
            )
            words = "\n".join(str(value) for (value,) in rows if value is not None).lower()
            if any(spelt in words for spelt in spellings):
                hits.add((table, name))
    return hits


@contextmanager
def held(conn: Connection, url: str, request_id: UUID) -> Iterator[Fence]:
    """The job of an erasure as its worker holds it."""
    worker_id = uuid4()
    processes.register(conn, id=worker_id, role="worker", host="here", pid=1, queues={})
    (job_id,) = one(
        conn,
        "UPDATE worker.jobs SET state = 'running', attempt = attempt + 1, worker_id = %s"
        " WHERE kind = 'erase_visitor' AND unique_key = %s AND finished_at IS NULL RETURNING id",
        worker_id,
        str(request_id),
    )
    (attempt,) = one(conn, "SELECT attempt FROM worker.jobs WHERE id = %s", job_id)
    with open_pool(url, size_max=2) as pool:
        yield Fence(pool, job_id, attempt)


def ids_of(conn: Connection) -> list[str]:
    """The ids of the visitor's rows, and the hash of the address."""
    found = conn.execute(
        "SELECT id::text FROM conversations WHERE visitor_id = %(visitor)s"
        " UNION ALL SELECT id::text FROM leads WHERE email = %(email)s"
        " UNION ALL SELECT m.id::text FROM messages AS m"
        " JOIN conversations AS c ON c.id = m.conversation_id WHERE c.visitor_id = %(visitor)s"
        " UNION ALL SELECT encode(sha256(convert_to(%(email)s, 'UTF8')), 'hex')",
        {"visitor": VISITOR, "email": EMAIL},
    )
    return [id for (id,) in found]
