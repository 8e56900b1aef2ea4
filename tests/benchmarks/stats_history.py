"""What a recompute costs on much history: one pair, and a day of all agents beside plain SQL."""

import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from uuid import UUID

from db import daily_stats, seeding
from db.pool import Connection, connect
from db.seeding_rows import Plan, agent_ids

MESSAGES = 3_000_000
FIRST_MESSAGES = 1_000_000
AGENTS = 1_000
MESSAGES_PER_CONVERSATION = 10
PAIRS = 100
TRIES = 3
PAIR_AIM_MS = 5.0
DAYS = 5
DAY_AIM = 1.3

# By hand, for owners in UTC: of one day all that daily_stats has, each table read once.
BY_HAND = """
CREATE TEMP TABLE by_hand ON COMMIT DROP AS
WITH c AS (
    SELECT agent_id, count(*) AS total, count(*) FILTER (WHERE status = 'active') AS active,
           round(avg(duration_seconds), 3) AS duration,
           count(*) FILTER (WHERE sentiment_label = 'positive') AS positive,
           count(*) FILTER (WHERE sentiment_label = 'neutral') AS neutral,
           count(*) FILTER (WHERE sentiment_label = 'negative') AS negative
    FROM public.conversations
    WHERE agent_id = ANY (%(agents)s) AND created_at >= %(from)s AND created_at < %(until)s
    GROUP BY agent_id
), v AS (
    SELECT agent_id, count(*) AS visitors, count(*) FILTER (WHERE returns) AS returning
    FROM (SELECT agent_id, EXISTS (
              SELECT FROM public.conversations AS e
              WHERE e.agent_id = d.agent_id AND e.visitor_id = d.visitor_id
                AND e.created_at < %(from)s) AS returns
          FROM (SELECT DISTINCT agent_id, visitor_id FROM public.conversations
                WHERE agent_id = ANY (%(agents)s)
                  AND created_at >= %(from)s AND created_at < %(until)s) AS d) AS one
    GROUP BY agent_id
), m AS (
    SELECT agent_id, count(*) AS total, count(*) FILTER (WHERE role = 'user') AS asked,
           count(*) FILTER (WHERE role = 'assistant') AS answered,
           round(avg(response_time_ms), 3) AS response, sum(tokens_used) AS tokens
    FROM public.messages
    WHERE agent_id = ANY (%(agents)s) AND created_at >= %(from)s AND created_at < %(until)s
    GROUP BY agent_id
), l AS (
    SELECT agent_id, count(*) AS total FROM public.leads
    WHERE agent_id = ANY (%(agents)s) AND created_at >= %(from)s AND created_at < %(until)s
    GROUP BY agent_id
), o AS (
    SELECT agent_id, sum(opens) AS total
    FROM (SELECT agent_id, 1 AS opens FROM public.analytics_events
          WHERE agent_id = ANY (%(agents)s) AND created_at >= %(from)s AND created_at < %(until)s
            AND event_type IN ('widget_opened', 'widget_open', 'widget.opened')
          UNION ALL
          SELECT agent_id, opens FROM worker.kept_opens
          WHERE agent_id = ANY (%(agents)s) AND at >= %(from)s AND at < %(until)s) AS opened
    GROUP BY agent_id
), u AS (
    SELECT agent_id, sum(total_cost) AS cost,
           sum(total_tokens) FILTER (WHERE usage_type NOT IN ('message', 'conversation')) AS tokens
    FROM public.usage_logs
    WHERE agent_id = ANY (%(agents)s) AND created_at >= %(from)s AND created_at < %(until)s
    GROUP BY agent_id
)
SELECT agent_id, coalesce(c.total, 0) AS conversations, coalesce(c.active, 0) AS active,
       c.duration, coalesce(m.total, 0) AS messages, coalesce(m.asked, 0) AS asked,
       coalesce(m.answered, 0) AS answered, m.response, coalesce(l.total, 0) AS leads,
       round(coalesce(l.total, 0)::numeric / nullif(c.total, 0), 6) AS conversion,
       coalesce(c.positive, 0) AS positive, coalesce(c.neutral, 0) AS neutral,
       coalesce(c.negative, 0) AS negative, coalesce(o.total, 0) AS opens,
       coalesce(v.visitors, 0) AS visitors, coalesce(v.returning, 0) AS returning,
       coalesce(m.tokens, 0) + coalesce(u.tokens, 0) AS tokens, coalesce(u.cost, 0) AS cost
FROM c FULL JOIN v USING (agent_id) FULL JOIN m USING (agent_id) FULL JOIN l USING (agent_id)
FULL JOIN o USING (agent_id) FULL JOIN u USING (agent_id)
"""


def print_history(url: str) -> None:
    messages = int(os.environ.get("BENCH_MESSAGES", MESSAGES))
    with connect(url, autocommit=True) as conn:
        first = seed(conn, min(FIRST_MESSAGES, messages), seed=1)
        before = measure_pairs(conn, first)
        print_pairs(f"one dirty pair, {FIRST_MESSAGES:,} messages", before)
        if messages > FIRST_MESSAGES:
            second = seed(conn, messages - FIRST_MESSAGES, seed=2)
            print_pairs(f"the same agents, {messages:,} messages", measure_pairs(conn, first))
            print_pairs(f"the busier agents, {messages:,} messages", measure_pairs(conn, second))
            first = second
        print_days(conn, first)


def seed(conn: Connection, messages: int, *, seed: int) -> Plan:
    """What `avivro seed` writes; the agents' figures are filled in, too."""
    begun = time.perf_counter()
    until = seeding.read_clock(conn)
    plan = Plan(AGENTS, messages // MESSAGES_PER_CONVERSATION, messages, seed, until)
    with conn.transaction():
        seeding.fill(conn, plan, lambda table, rows: None)
    seconds = time.perf_counter() - begun
    conn.execute("TRUNCATE worker.stats_marks")
    conn.execute("VACUUM (ANALYZE)")
    print(f"\n{messages:,} messages of {AGENTS:,} agents seeded in {seconds:.0f} s")
    return plan


# One pair.


def measure_pairs(conn: Connection, plan: Plan) -> list[float]:
    """Milliseconds of each of PAIRS recomputes, its planning and commit included.

    The fastest of TRIES: the first finds its rows on no warm page, and other processes run, too.
    """
    chance = random.Random(7)
    agents = agent_ids(plan)
    until_on = plan.until.date()
    times: list[float] = []
    for place in range(-10, PAIRS):
        agent = UUID(agents[int(len(agents) * chance.random() ** 2)])
        day = until_on - timedelta(days=chance.randrange(1, 89))
        taken_ms = min(time_ms(conn, [agent], [day]) for _ in range(TRIES))
        # The first ones warm the connection, not the rows.
        if place >= 0:
            times.append(taken_ms)
    return times


def time_ms(conn: Connection, agents: Sequence[UUID], days: Sequence[date]) -> float:
    conn.execute(
        "DELETE FROM public.daily_stats WHERE (agent_id, date) IN"
        " (SELECT * FROM unnest(%s::uuid[], %s::date[]))",
        (list(agents), list(days)),
    )
    begun = time.perf_counter()
    with conn.transaction():
        daily_stats.recompute_days(conn, list(agents), list(days))
    return (time.perf_counter() - begun) * 1000


def print_pairs(what: str, times_ms: list[float]) -> None:
    p95 = sorted(times_ms)[int(len(times_ms) * 0.95)]
    verdict = "LOSS" if p95 >= PAIR_AIM_MS else "ok"
    print(
        f"{verdict:4}  {what}: median {statistics.median(times_ms):.2f} ms, p95 {p95:.2f} ms,"
        f" longest {max(times_ms):.2f} ms ({len(times_ms)} random pairs, aim < 5 ms)"
    )


# A day of all agents.


def print_days(conn: Connection, plan: Plan) -> None:
    agents = [UUID(agent) for agent in agent_ids(plan)]
    ours: list[float] = []
    plain: list[float] = []
    for number in range(DAYS):
        day = plan.until.date() - timedelta(days=20 + number)
        runs: list[Callable[[], None]] = [
            lambda: ours.append(time_ms(conn, agents, [day] * len(agents))),  # noqa: B023
            lambda: plain.append(time_by_hand_ms(conn, agents, day)),  # noqa: B023
        ]
        # Whoever is first finds colder rows: read once before, then in turns.
        time_by_hand_ms(conn, agents, day)
        for turn in range(2 * TRIES):
            runs[(turn + number) % 2]()
    ours, plain = fastest(ours), fastest(plain)
    ratios = [mine / other for mine, other in zip(ours, plain, strict=True)]
    ratio = statistics.median(ratios)
    print(
        f"{'LOSS' if ratio > DAY_AIM else 'ok':4}  {ratio:.2f}x ({min(ratios):.2f} to"
        f" {max(ratios):.2f}; aim {DAY_AIM:g}x)  a full day of {len(agents):,} agents:"
        f" {statistics.median(ours):.0f} ms, the GROUP BY by hand"
        f" {statistics.median(plain):.0f} ms"
    )


def fastest(times: list[float]) -> list[float]:
    """Of each day its fastest try."""
    return [min(times[start : start + TRIES]) for start in range(0, len(times), TRIES)]


def time_by_hand_ms(conn: Connection, agents: list[UUID], day: date) -> float:
    begun = time.perf_counter()
    with conn.transaction():
        conn.execute(
            BY_HAND.encode(),
            {
                "agents": agents,
                "from": f"{day} 00:00+00",
                "until": f"{day + timedelta(days=1)} 00:00+00",
            },
        )
    return (time.perf_counter() - begun) * 1000
