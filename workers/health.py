"""Whether work flows, and if not, why: one look, for the dashboard, `top` and the watchdog."""

import redis

from db import health
from db.pool import Connection
from workers import runway
from workers.finding import Finding as Finding

# A Redis that takes longer to say PONG is not of use to anybody.
PING_S = 0.5
ROLES = {
    "worker": ("No worker is alive", "start one: avivro worker (or avivro up)"),
    "dispatcher": ("No dispatcher is alive", "start one: avivro dispatcher (or avivro up)"),
    "scheduler": ("No scheduler is alive", "start one: avivro scheduler (or avivro up)"),
}


def look(conn: Connection, *, redis_url: str | None) -> list[Finding]:
    """What is wrong, worst first; nothing is good news. Opens a transaction of its own.

    Without `redis_url` it does not ask Redis. Raises psycopg.Error when Postgres goes away.
    """
    found = [] if redis_url is None else look_at_redis(redis_url)
    with conn.transaction():
        health.limit_looking(conn)
        found += look_at_processes(conn)
    return sorted(found, key=lambda finding: finding.level != "stop")


def look_at_redis(url: str) -> list[Finding]:
    client = runway.connect(url, timeout_s=PING_S)
    try:
        client.ping()
    except (redis.RedisError, OSError) as error:
        return [
            Finding(
                key="redis",
                level="stop",
                title="Redis does not answer",
                evidence=f"{type(error).__name__}: {error}"[:300],
                do="Start Redis or check REDIS_URL; jobs wait in Postgres, none is lost",
                runbook="redis-down",
            )
        ]
    finally:
        client.close()
    return []


def look_at_processes(conn: Connection) -> list[Finding]:
    live = {crew.role for crew in health.list_processes(conn)}
    return [
        Finding(
            key=f"no_{role}",
            level="hold" if role == "scheduler" else "stop",
            title=title,
            evidence=f"No {role} has renewed its lease within 20 s",
            do=do,
            runbook=f"no-{role}",
            links=(("Workers", "/workers"),),
        )
        for role, (title, do) in ROLES.items()
        if role not in live
    ]
