"""What a recompute costs on much history: one pair, and a day of all agents beside plain SQL.

First a tenth of the messages within nine days, then the rest in the eighty-one days before: the
same days are measured again with ten times the history.
"""

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

from db import daily_stats
from db.pool import Connection, connect
from tests.benchmarks.stats_fill import Share, add_agents, add_share

MESSAGES = 10_000_000
AGENTS = 1_000
MESSAGES_PER_CONVERSATION = 10
RECENT_DAYS = 9
HISTORY_DAYS = 90
PAIRS = 100
PAIR_AIM_MS = 5.0
TRIES = 7
DAY_AGO = 5
DAY_AIM = 1.3

# By hand, for owners in UTC: of one day all that daily_stats has, each table read once, into a
# table like it. The fastest of three shapes: with a list of agents, or joined to them, it takes 6
# to 15 % longer. Its plan: bitmap scans of the day in every agent's index, hashed by agent.
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
    WHERE created_at >= %(from)s AND created_at < %(until)s
    GROUP BY agent_id
), v AS (
    SELECT agent_id, count(*) AS visitors, count(*) FILTER (WHERE returns) AS returning
    FROM (SELECT agent_id, EXISTS (
              SELECT FROM public.conversations AS e
              WHERE e.agent_id = d.agent_id AND e.visitor_id = d.visitor_id
                AND e.created_at < %(from)s) AS returns
          FROM (SELECT DISTINCT agent_id, visitor_id FROM public.conversations
                WHERE created_at >= %(from)s AND created_at < %(until)s) AS d) AS one
    GROUP BY agent_id
), m AS (
    SELECT agent_id, count(*) AS total, count(*) FILTER (WHERE role = 'user') AS asked,
           count(*) FILTER (WHERE role = 'assistant') AS answered,
           round(avg(response_time_ms), 3) AS response, sum(tokens_used) AS tokens
    FROM public.messages
    WHERE created_at >= %(from)s AND created_at < %(until)s
    GROUP BY agent_id
), l AS (
    SELECT agent_id, count(*) AS total FROM public.leads
    WHERE created_at >= %(from)s AND created_at < %(until)s
    GROUP BY agent_id
), o AS (
    SELECT agent_id, sum(opens) AS total
    FROM (SELECT agent_id, 1 AS opens FROM public.analytics_events
          WHERE created_at >= %(from)s AND created_at < %(until)s
            AND event_type IN ('widget_opened', 'widget_open', 'widget.opened')
          UNION ALL
          SELECT agent_id, opens FROM worker.kept_opens
          WHERE at >= %(from)s AND at < %(until)s) AS opened
    GROUP BY agent_id
), u AS (
    SELECT agent_id, sum(total_cost) AS cost,
           sum(total_tokens) FILTER (WHERE usage_type NOT IN ('message', 'conversation')) AS tokens
    FROM public.usage_logs
    WHERE created_at >= %(from)s AND created_at < %(until)s
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
    """Milliseconds of one run.

    `running` is by the clock without the time that this process or the server's stood in the
    queue for a processor, which others held: about what it takes where nothing else runs.
    """

    clock: float
    running: float
    processor: float


def print_history(url: str) -> None:
    messages = int(os.environ.get("BENCH_MESSAGES", MESSAGES))
    conversations = messages // MESSAGES_PER_CONVERSATION
    recent = conversations * RECENT_DAYS // HISTORY_DAYS
    with connect(url, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.bench_day (LIKE public.daily_stats INCLUDING ALL)")
        add_agents(conn, AGENTS)
        fill(conn, Share(1, RECENT_DAYS, 0, recent))
        recent_days = (1, RECENT_DAYS - 1)
        print_losses_first([*tell_pairs(conn, recent_days), *tell_day(conn)])
        fill(conn, Share(2, HISTORY_DAYS, RECENT_DAYS, conversations - recent))
        old = tell_pairs(conn, (RECENT_DAYS + 1, HISTORY_DAYS - 1))
        print_losses_first([*tell_pairs(conn, recent_days), *old, *tell_day(conn)])


def fill(conn: Connection, share: Share) -> None:
    begun = time.perf_counter()
    add_share(conn, share)
    row = conn.execute("SELECT count(*) FROM public.messages").fetchone()
    assert row is not None
    print(
        f"\n{row[0]:,} messages of {AGENTS:,} agents, {time.perf_counter() - begun:.0f} s to fill"
    )


def print_losses_first(lines: Sequence[str]) -> None:
    for line in sorted(lines, key=lambda line: not line.startswith("LOSS")):
        print(line)


def measure(conn: Connection, run: Callable[[], object]) -> Taken:
    """On a connection that commits each statement; planning and commit are in it."""
    begun, (worked, queued) = time.perf_counter(), read_schedule(conn)
    run()
    clock = (time.perf_counter() - begun) * 1000
    worked_since, queued_since = read_schedule(conn)
    return Taken(clock, clock - (queued_since - queued), worked_since - worked)


def read_schedule(conn: Connection) -> tuple[float, float]:
    """Milliseconds that the server's process worked, and that it and this one queued; on Linux."""
    paths = [Path(f"/proc/{pid}/schedstat") for pid in (conn.info.backend_pid, os.getpid())]
    if not all(path.exists() for path in paths):
        return 0.0, 0.0
    server, client = ([int(word) / 1e6 for word in path.read_text().split()] for path in paths)
    return server[0], server[1] + client[1]


def recompute(conn: Connection, agents: Sequence[UUID], day: date) -> None:
    daily_stats.recompute_days(conn, agents, [day] * len(agents))


def list_agents(conn: Connection) -> list[UUID]:
    return [row[0] for row in conn.execute("SELECT id FROM public.agents ORDER BY id").fetchall()]


def read_today(conn: Connection) -> date:
    row = conn.execute("SELECT current_date").fetchone()
    assert row is not None
    today: date = row[0]
    return today


# One pair.


def tell_pairs(conn: Connection, days_ago: tuple[int, int]) -> list[str]:
    """Random pairs, each when its pages were last read long ago, and once more when just read."""
    chance, agents, today = random.Random(7), list_agents(conn), read_today(conn)
    recompute(conn, agents[:1], today)  # The plan.
    first: list[Taken] = []
    again: list[Taken] = []
    for _ in range(PAIRS):
        agent = agents[int(len(agents) * chance.random() ** 2)]
        run = partial(recompute, conn, [agent], today - timedelta(days=chance.randint(*days_ago)))
        first.append(measure(conn, run))
        again.append(measure(conn, run))
    what = f"one dirty pair {days_ago[0]} to {days_ago[1]} days old"
    return [
        tell_pair(f"{what}, not read lately", first),
        tell_pair(f"{what}, read just before", again),
    ]


def tell_pair(what: str, taken: Sequence[Taken]) -> str:
    clock, running, processor = (
        spread([getattr(one, name) for one in taken]) for name in ("clock", "running", "processor")
    )
    return (
        f"{'LOSS' if clock[1] >= PAIR_AIM_MS else 'ok':4}  {what}: median {clock[0]:.2f} ms, p95"
        f" {clock[1]:.2f}; without the queue for a processor {running[0]:.2f}, p95"
        f" {running[1]:.2f}; of processor time {processor[0]:.2f}, p95 {processor[1]:.2f}"
        f" ({len(taken)} pairs, aim < {PAIR_AIM_MS:g} ms)"
    )


def spread(times: list[float]) -> tuple[float, float]:
    """(median, 95th percentile)"""
    return statistics.median(times), sorted(times)[int(len(times) * 0.95)]


# A day of all agents.


def tell_day(conn: Connection) -> list[str]:
    """Both write all rows of a day, in turns; then ours finds that nothing changed."""
    agents, day = list_agents(conn), read_today(conn) - timedelta(days=DAY_AGO)
    ours: list[Taken] = []
    plain: list[Taken] = []
    unchanged: list[Taken] = []
    for _ in range(TRIES):
        conn.execute("DELETE FROM public.daily_stats WHERE date = %s", (day,))
        conn.execute("VACUUM public.daily_stats")
        conn.execute("TRUNCATE public.bench_day")
        ours.append(measure(conn, partial(recompute, conn, agents, day)))
        plain.append(measure(conn, partial(count_by_hand, conn, day)))
        unchanged.append(measure(conn, partial(recompute, conn, agents, day)))
    return [
        tell_ratio(f"{what}, {told}", [getattr(one, name) for one in mine], other)
        for name, told in (("clock", "by the clock"), ("processor", "processor time"))
        for other in [[getattr(one, name) for one in plain]]
        for what, mine in (("all rows new", ours), ("nothing changes", unchanged))
    ]


def tell_ratio(what: str, ours: list[float], plain: list[float]) -> str:
    ratios = [a / b for a, b in zip(ours, plain, strict=True)]
    ratio = statistics.median(ratios)
    mine, other = statistics.median(ours), statistics.median(plain)
    return (
        f"{'LOSS' if ratio > DAY_AIM else 'ok':4}  a day of {AGENTS:,} agents, {what}: {ratio:.2f}x"
        f" of the GROUP BY by hand ({min(ratios):.2f} to {max(ratios):.2f}; aim {DAY_AIM:g}x),"
        f" {mine:.0f} against {other:.0f} ms"
    )


def count_by_hand(conn: Connection, day: date) -> None:
    until = day + timedelta(days=1)
    values = {"from": f"{day} 00:00+00", "until": f"{until} 00:00+00", "day": day}
    conn.execute(BY_HAND.encode(), values)
