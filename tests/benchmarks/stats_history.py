"""What a recompute costs on much history: one pair, and a day of all agents beside plain SQL."""

import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from db import daily_stats, seeding
from db.pool import Connection, connect
from db.seeding_rows import Plan, agent_ids

MESSAGES = 3_000_000
FIRST_MESSAGES = 1_000_000
AGENTS = 1_000
MESSAGES_PER_CONVERSATION = 10
PAIRS = 100
TRIES = 4
PAIR_AIM_MS = 5.0
DAYS = 5
DAY_AIM = 1.3

# By hand, for owners in UTC: of one day all that daily_stats has, each table read once, into a
# table like it.
BY_HAND = """
INSERT INTO public.bench_day (
    agent_id, date, total_conversations, active_conversations, avg_conversation_duration,
    total_messages, user_messages, assistant_messages, avg_response_time_ms, total_leads,
    conversion_rate, positive_sentiment_count, neutral_sentiment_count, negative_sentiment_count,
    widget_opens, unique_visitors, returning_visitors, total_tokens_used, total_ai_cost)
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
SELECT agent_id, %(day)s, coalesce(c.total, 0), coalesce(c.active, 0), c.duration,
       coalesce(m.total, 0), coalesce(m.asked, 0), coalesce(m.answered, 0), m.response,
       coalesce(l.total, 0), round(coalesce(l.total, 0)::numeric / nullif(c.total, 0), 6),
       coalesce(c.positive, 0), coalesce(c.neutral, 0), coalesce(c.negative, 0),
       coalesce(o.total, 0), coalesce(v.visitors, 0), coalesce(v.returning, 0),
       coalesce(m.tokens, 0) + coalesce(u.tokens, 0), coalesce(u.cost, 0)
FROM c FULL JOIN v USING (agent_id) FULL JOIN m USING (agent_id) FULL JOIN l USING (agent_id)
FULL JOIN o USING (agent_id) FULL JOIN u USING (agent_id)
"""


@dataclass(frozen=True)
class Taken:
    """Milliseconds of each run, by the clock and of the server's processor.

    The latter is what it takes on a machine where nothing else runs, but for the disk.
    """

    clock: list[float]
    processor: list[float]


def print_history(url: str) -> None:
    messages = int(os.environ.get("BENCH_MESSAGES", MESSAGES))
    with connect(url, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.bench_day (LIKE public.daily_stats INCLUDING ALL)")
        plan = seed(conn, min(FIRST_MESSAGES, messages), seed=1)
        print_pairs("one dirty pair", measure_pairs(conn, plan))
        print_day(conn, plan)
        if messages > FIRST_MESSAGES:
            busier = seed(conn, messages - FIRST_MESSAGES, seed=2)
            print_pairs("the same agents' pairs", measure_pairs(conn, plan))
            print_pairs("the new agents' pairs", measure_pairs(conn, busier))
            print_day(conn, busier)


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


def measure(conn: Connection, runs: Sequence[Callable[[], None]]) -> Taken:
    """Each run its own transaction; planning and commit are in it."""
    taken = Taken([], [])
    for run in runs:
        begun, worked = time.perf_counter(), processor_ms(conn)
        with conn.transaction():
            run()
        taken.clock.append((time.perf_counter() - begun) * 1000)
        taken.processor.append(processor_ms(conn) - worked)
    return taken


def processor_ms(conn: Connection) -> float:
    """Of this connection's server process; Linux alone counts in less than ticks."""
    path = Path(f"/proc/{conn.info.backend_pid}/schedstat")
    return int(path.read_text().split()[0]) / 1e6 if path.exists() else 0.0


# One pair.


def measure_pairs(conn: Connection, plan: Plan) -> Taken:
    chance = random.Random(7)
    agents, until_on = agent_ids(plan), plan.until.date()
    pairs = [
        (
            UUID(agents[int(len(agents) * chance.random() ** 2)]),
            until_on - timedelta(days=chance.randrange(1, 89)),
        )
        for _ in range(PAIRS)
    ]
    for agent, day in pairs:
        conn.execute(
            "DELETE FROM public.daily_stats WHERE agent_id = %s AND date = %s", (agent, day)
        )
    return measure(conn, [partial(recompute, conn, [agent], day) for agent, day in pairs])


def recompute(conn: Connection, agents: list[UUID], day: date) -> None:
    daily_stats.recompute_days(conn, agents, [day] * len(agents))


def print_pairs(what: str, taken: Taken) -> None:
    (clock, clock_p95), (processor, processor_p95) = map(spread, (taken.clock, taken.processor))
    print(
        f"{'LOSS' if clock_p95 >= PAIR_AIM_MS else 'ok':4}  {what}: median {clock:.2f} ms,"
        f" p95 {clock_p95:.2f} ms; of processor time {processor:.2f} ms, p95 {processor_p95:.2f} ms"
        f" ({len(taken.clock)} random pairs, aim < {PAIR_AIM_MS:g} ms)"
    )


def spread(times: list[float]) -> tuple[float, float]:
    """(median, 95th percentile)"""
    return statistics.median(times), sorted(times)[int(len(times) * 0.95)]


# A day of all agents.


def print_day(conn: Connection, plan: Plan) -> None:
    """Both write all rows of a day, in turns; of each day the fastest of TRIES counts."""
    agents = [UUID(agent) for agent in agent_ids(plan)]
    ours: list[Taken] = []
    plain: list[Taken] = []
    for number in range(DAYS):
        day = plan.until.date() - timedelta(days=20 + number)
        for _ in range(TRIES):
            conn.execute("DELETE FROM public.daily_stats WHERE date = %s", (day,))
            conn.execute("VACUUM public.daily_stats")
            conn.execute("TRUNCATE public.bench_day")
            ours.append(measure(conn, [partial(recompute, conn, agents, day)]))
            plain.append(measure(conn, [partial(count_by_hand, conn, agents, day)]))
    print_ratio("by the clock", [t.clock[0] for t in ours], [t.clock[0] for t in plain])
    print_ratio("processor time", [t.processor[0] for t in ours], [t.processor[0] for t in plain])


def print_ratio(what: str, ours: list[float], plain: list[float]) -> None:
    mine, other = fastest(ours), fastest(plain)
    ratios = [a / b for a, b in zip(mine, other, strict=True)]
    ratio = statistics.median(ratios)
    print(
        f"{'LOSS' if ratio > DAY_AIM else 'ok':4}  a day of {AGENTS:,} agents, {what}: {ratio:.2f}x"
        f" of the GROUP BY by hand ({min(ratios):.2f} to {max(ratios):.2f}; aim {DAY_AIM:g}x),"
        f" {statistics.median(mine):.0f} ms against {statistics.median(other):.0f} ms"
    )


def fastest(times: list[float]) -> list[float]:
    """Of each day its fastest try."""
    return [min(times[start : start + TRIES]) for start in range(0, len(times), TRIES)]


def count_by_hand(conn: Connection, agents: list[UUID], day: date) -> None:
    until = day + timedelta(days=1)
    values = {"from": f"{day} 00:00+00", "until": f"{until} 00:00+00", "day": day}
    conn.execute(BY_HAND.encode(), {"agents": agents, **values})
