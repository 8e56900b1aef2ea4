"""Millions of rows in minutes: made by the server, without triggers, indexes rebuilt at the end.

In no order of time, as `avivro seed` writes them: a day lies scattered over all pages of its table.
"""

from dataclasses import dataclass

from db.pool import Connection

TABLES = ("conversations", "messages", "leads", "analytics_events", "usage_logs")

ADD_OWNERS = """
INSERT INTO auth.users (id, email)
SELECT gen_random_uuid(), 'owner-' || n || '@example.com'
FROM generate_series(1, greatest(%(agents)s / 4, 1)) AS n
"""
ADD_AGENTS = """
INSERT INTO public.agents (user_id, name)
SELECT p.ids[1 + n %% cardinality(p.ids)], 'Agent ' || n
FROM (SELECT array_agg(id ORDER BY id) AS ids FROM public.user_profiles) AS p,
     generate_series(1, %(agents)s) AS n
"""
# Three in ten come from the agent's two hundred regular visitors. Few agents have most of them.
ADD_CONVERSATIONS = """
INSERT INTO public.conversations (id, agent_id, visitor_id, status, sentiment_label, message_count,
    duration_seconds, created_at)
SELECT (%(prefix)s || lpad(to_hex(n), 12, '0'))::uuid,
       a.ids[1 + floor(cardinality(a.ids) * r.agent ^ 2)::int],
       CASE WHEN r.visitor < 0.3 THEN 'regular-' || floor(r.visitor * 666)
            ELSE 'visitor-' || %(prefix)s || n END,
       CASE WHEN r.status < 0.05 THEN 'active' ELSE 'resolved' END,
       CASE WHEN r.label < 0.3 THEN 'positive' WHEN r.label < 0.4 THEN 'negative'
            WHEN r.label < 0.9 THEN 'neutral' END,
       r.messages, 45 * r.messages,
       date_trunc('day', now())
           - (%(last_day)s + (%(first_day)s - %(last_day)s) * r.at) * interval '1 day'
FROM (SELECT array_agg(id ORDER BY id) AS ids FROM public.agents) AS a,
     (SELECT n, random() AS agent, random() AS visitor, random() AS status, random() AS label,
             floor(random() * 19)::int + 1 AS messages, random() AS at
      FROM generate_series(1, %(conversations)s) AS n) AS r
"""
ADD_MESSAGES = """
INSERT INTO public.messages (id, conversation_id, agent_id, role, content, model, tokens_used,
    response_time_ms, created_at)
SELECT overlay(c.id::text PLACING lpad(to_hex(n), 4, '0') FROM 10 FOR 4)::uuid, c.id, c.agent_id,
       CASE WHEN n %% 2 = 1 THEN 'user' ELSE 'assistant' END,
       CASE WHEN n %% 2 = 1 THEN 'When do you deliver to the north of the country, please?'
            ELSE 'We deliver within three working days, and on Saturdays in the larger towns.' END,
       CASE WHEN n %% 2 = 0 THEN 'anthropic/claude-3.5-sonnet' END,
       CASE WHEN n %% 2 = 0 THEN 20 + floor(random() * 300)::int ELSE 0 END,
       CASE WHEN n %% 2 = 0 THEN 300 + floor(random() * 2700)::int END,
       c.created_at + n * interval '45 seconds'
FROM public.conversations AS c, generate_series(1, c.message_count) AS n
WHERE c.id >= (%(prefix)s || '000000000000')::uuid
"""
ADD_OTHERS = """
WITH fresh AS MATERIALIZED (
    SELECT c.id, c.agent_id, c.visitor_id, c.created_at, c.message_count, random() AS chance
    FROM public.conversations AS c
    WHERE c.id >= (%(prefix)s || '000000000000')::uuid
), leads AS (
    INSERT INTO public.leads (agent_id, conversation_id, name, created_at)
    SELECT agent_id, id, 'A visitor', created_at + interval '2 minutes'
    FROM fresh WHERE chance < 0.12
), events AS (
    INSERT INTO public.analytics_events (agent_id, event_type, visitor_id, created_at)
    SELECT f.agent_id, e.name, f.visitor_id, f.created_at
    FROM fresh AS f, unnest(ARRAY['widget_opened', 'page_viewed', 'conversation_started'])
        AS e (name)
)
INSERT INTO public.usage_logs (user_id, agent_id, usage_type, ai_model, prompt_tokens,
    completion_tokens, total_tokens, unit_cost, total_cost, created_at)
SELECT a.user_id, f.agent_id, u.type, 'anthropic/claude-3.5-sonnet', 400, 100, 500, 0.000003,
       0.0015, f.created_at
FROM fresh AS f JOIN public.agents AS a ON a.id = f.agent_id,
     unnest(ARRAY['message', 'conversation', 'embedding']) AS u (type)
"""


@dataclass(frozen=True)
class Share:
    """A part of the history: days before today, and how many conversations lie in them."""

    batch: int
    first_day: int
    last_day: int
    conversations: int


def add_agents(conn: Connection, agents: int) -> None:
    conn.execute(ADD_OWNERS.encode(), {"agents": agents})
    conn.execute(ADD_AGENTS.encode(), {"agents": agents})


def add_share(conn: Connection, share: Share) -> None:
    """Ten messages a conversation, with their leads, events and usage. Needs a superuser."""
    values = {"prefix": f"00000000-0000-4000-{share.batch:04x}-", **vars(share)}
    with conn.transaction():
        conn.execute("SET LOCAL session_replication_role = replica")
        indexes = drop_indexes(conn)
        for statement in (ADD_CONVERSATIONS, ADD_MESSAGES, ADD_OTHERS):
            conn.execute(statement.encode(), values)
        for index in indexes:
            conn.execute(index.encode())
    conn.execute("VACUUM (ANALYZE)")
    conn.execute("CHECKPOINT")


def drop_indexes(conn: Connection) -> list[str]:
    """All but those of constraints; how to create them again."""
    rows = conn.execute(
        "SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index AS i"
        " WHERE i.indrelid = ANY (%s::regclass[]) AND NOT EXISTS ("
        " SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)",
        ([f"public.{table}" for table in TABLES],),
    ).fetchall()
    for name, _ in rows:
        conn.execute(f"DROP INDEX {name}".encode())
    return [definition for _, definition in rows]
