"""Settling keeps to keys, whatever the statistics say."""

import re

import pytest

from db import waits
from db.pool import Connection

KEYS = {"ends_pkey", "jobs_pkey", "waits_pkey", "waits_for_idx", "waits_open_idx"}
MEMBERS = 100_000
# What the tables looked like when they were last analysed.
PASTS = {
    "never": "SELECT",
    "empty": "ANALYZE worker.jobs, worker.waits, worker.ends",
    "one of all": """
        INSERT INTO worker.jobs (kind, queue, max_attempts, state, blocked, waited)
            VALUES ('probe', 'default', 1, 'scheduled', true, '{}');
        INSERT INTO worker.waits VALUES (1, 1);
        INSERT INTO worker.ends (job_id) SELECT 0 FROM generate_series(1, 1000);
        ANALYZE worker.jobs, worker.waits, worker.ends;
        DELETE FROM worker.ends""",
}


@pytest.mark.parametrize("past", PASTS)
def test_settling_probes_keys_only(conn: Connection, past: str) -> None:
    for table in ("jobs", "waits", "ends"):
        conn.execute(f"ALTER TABLE worker.{table} SET (autovacuum_enabled = false)".encode())
    conn.execute(PASTS[past].encode())
    fill(conn)
    plans = record_plans(conn)

    released = sum(waits.settle(conn, rows_max=500) for _ in range(4))

    assert released == 500
    text = "\n".join(plans)
    assert set(re.findall(r"(?:Scan using|Index Scan on) (\w+)", text)) <= KEYS
    assert not re.search(r"Seq Scan|hashed SubPlan|Hash (Left |Right |Anti |Semi )?Join", text)


def fill(conn: Connection) -> None:
    """A batch of 100,000 of which 500 ended, and 500 steps that wait for one job that ended."""
    conn.execute(
        """
        WITH waiters AS (
            INSERT INTO worker.jobs (kind, queue, max_attempts, state, blocked, waited)
            SELECT 'probe', 'default', 1, 'scheduled', true, '{}' FROM generate_series(0, 500)
            RETURNING id
        ), members AS (
            INSERT INTO worker.jobs (kind, queue, max_attempts, awaited, state)
            SELECT 'probe', 'default', 1, true,
                   CASE WHEN n < 1000 THEN 'completed' ELSE 'available' END
            FROM generate_series(0, %s) AS n
            RETURNING id, state
        ), ended AS (
            INSERT INTO worker.ends (job_id)
            SELECT id FROM members WHERE state = 'completed' ORDER BY id
        )
        INSERT INTO worker.waits (job_id, waits_for)
        SELECT (SELECT min(id) FROM waiters), id FROM members
        UNION ALL
        SELECT id, (SELECT min(id) FROM members) FROM waiters
        WHERE id > (SELECT min(id) FROM waiters)
        """,
        (MEMBERS,),
    )


def record_plans(conn: Connection) -> list[str]:
    """Every plan that this connection runs from now on, those inside functions too."""
    plans: list[str] = []
    conn.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
    conn.execute("LOAD 'auto_explain'")
    for setting in ("log_min_duration = 0", "log_nested_statements = on"):
        conn.execute(f"SET auto_explain.{setting}".encode())
    conn.execute("SET client_min_messages = log")
    return plans
