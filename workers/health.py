"""Whether work flows, and if not, why: one look, for the dashboard, `top` and the watchdog."""

import redis

from db import health, lanes
from db.pool import Connection
from workers import runway
from workers.finding import Finding as Finding
from workers.health_facts import (
    BEHIND_S,
    CRASH_S,
    DIFFERENCE_S,
    DISCARD_S,
    DISCARDS_MIN,
    LOST_S,
    PROVIDER_S,
    STOPPED_S,
    TRANSACTION_S,
    Facts,
)
from workers.health_flow import judge_flow
from workers.health_work import judge_work
from workers.jobs import KINDS, QUEUES

# A Redis that takes longer to say PONG is of no use to anybody.
PING_S = 0.5
# Of its memory: above, pushes will soon be refused.
FULL_SHARE = 0.9
CANARY_KIND = "watch_health"


def look(conn: Connection, *, redis_url: str | None) -> list[Finding]:
    """What is wrong, worst first, without what follows from it; nothing is good news.

    Opens a transaction of its own. Without `redis_url` Redis is not asked. Raises psycopg.Error
    when Postgres goes away.
    """
    asked = [] if redis_url is None else look_at_redis(redis_url)
    return [finding for finding in examine(conn, asked) if finding.cause is None]


def examine(conn: Connection, of_redis: list[Finding]) -> list[Finding]:
    """All there is, with what follows from other findings, worst first."""
    with conn.transaction():
        health.limit_looking(conn)
        facts = read_facts(conn)
    return judge(facts, of_redis)


def judge(facts: Facts, of_redis: list[Finding]) -> list[Finding]:
    flow = judge_flow(facts, of_redis)
    found = [*flow, *judge_work(facts, flow)]
    return sorted(found, key=lambda finding: (finding.cause is not None, finding.level != "stop"))


def read_facts(conn: Connection) -> Facts:
    return Facts(
        now=health.read_clock(conn),
        crews={crew.role: crew for crew in health.list_crews(conn)},
        queues=health.list_queues(conn, sorted({*QUEUES, *health.list_waiting_queues(conn)})),
        promotion_at=health.read_promotion(conn),
        late=health.list_late_schedules(conn, late_s=BEHIND_S * 2),
        pauses=lanes.list_pauses(conn),
        lost=health.list_lost_processes(conn, window_s=LOST_S, crash_s=CRASH_S),
        discards=health.list_discards(conn, window_s=DISCARD_S, number_min=DISCARDS_MIN),
        calls=health.list_provider_calls(conn, window_s=PROVIDER_S),
        mails=health.read_uncertain_mails(conn),
        webhooks=health.read_stopped_webhooks(conn, window_s=STOPPED_S),
        differences=health.read_lasting_differences(conn, age_s=DIFFERENCE_S),
        server=health.read_server(conn, age_s=TRANSACTION_S),
        canary=health.read_canary(conn, kind=CANARY_KIND),
        unknown=health.list_unknown_kinds(conn, KINDS),
    )


def look_at_redis(url: str) -> list[Finding]:
    """Asked outside of any transaction: it may take PING_S to fall silent."""
    client = runway.connect(url, timeout_s=PING_S)
    try:
        memory = client.info("memory")
    except redis.ResponseError:
        # It answers, and shows its figures to nobody.
        return []
    except (redis.RedisError, OSError) as error:
        return [redis_down(error)]
    finally:
        client.close()
    return judge_memory(dict(memory))


def redis_down(error: Exception) -> Finding:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return Finding(
        key="redis_down",
        level="stop",
        title="Redis does not answer: nothing is handed out",
        evidence=f"It said nothing within {PING_S:g} s: {reason[:200]}. Jobs are safe in Postgres.",
        do="Start Redis, or check REDIS_URL. Jobs go out by themselves within 5 s of its return.",
        runbook="redis-down",
    )


def judge_memory(memory: dict[str, object]) -> list[Finding]:
    """Of INFO memory: full, or allowed to throw tickets away."""
    used, most = number(memory.get("used_memory")), number(memory.get("maxmemory"))
    if most > 0 and used >= FULL_SHARE * most:
        return [
            Finding(
                key="redis_full",
                level="hold",
                title="Redis is nearly full",
                evidence=f"It holds {used / 1e6:,.0f} of {most / 1e6:,.0f} MB. When it is full it "
                "refuses what is handed out, and jobs wait in Postgres.",
                do="Give it more memory (CONFIG SET maxmemory), or take other data out of it.",
                runbook="redis-full",
            )
        ]
    policy = memory.get("maxmemory_policy")
    if most > 0 and isinstance(policy, str) and policy != "noeviction":
        return [
            Finding(
                key="redis_evicts",
                level="hold",
                title="Redis may throw tickets away",
                evidence=f"Its maxmemory-policy is {policy}. A job whose ticket is lost waits some "
                "seconds until it is handed out again.",
                do="CONFIG SET maxmemory-policy noeviction, in its configuration file too.",
                runbook="redis-full",
            )
        ]
    return []


def number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
