"""Rows as years of work leave them: what the dashboard's figures are measured on.

`python -m tests.benchmarks.dashboard_rows URL [JOBS [SHAPE]]` fills a migrated database: JOBS rows
of jobs (2,000,000), of which 10,000 wait, JOBS / 20 were discarded and 500 are to be tried again,
and a tenth as many sources, deliveries, mails and usage rows, of 1,000 tenants. Shape `even` gives
each tenant and each kind as many; `skewed` gives one tenant half of all jobs and one kind three of
four.
"""

import sys
import time

from db.pool import Connection, connect

TENANTS = 1_000
WAITING = 10_000
RETRYABLE = 500
SHAPES = ("even", "skewed")

ACCOUNTS = """
INSERT INTO auth.users (id, email, raw_user_meta_data)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       'owner' || n || '@example.com', jsonb_build_object('full_name', 'Owner ' || n)
FROM generate_series(1, %(tenants)s) AS n
"""
AGENTS = """
INSERT INTO public.agents (id, user_id, name)
SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Agent ' || n
FROM generate_series(1, %(tenants)s) AS n
"""
# What a job of each kind takes: the name of a uuid, and a model's name where it needs one.
KINDS = """
CREATE TEMP TABLE filled_kinds AS
SELECT kind, queue, row_number() OVER (ORDER BY kind) - 1 AS place,
       (SELECT key FROM jsonb_each_text(args) WHERE value = 'uuid' LIMIT 1) AS names,
       CASE WHEN args ? 'model' THEN '{"model": "text-embedding-ada-002"}' ELSE '{}' END::jsonb
           AS others
FROM worker.kinds
"""
# Ended jobs lie within the last seven days, evenly.
ENDED = """
INSERT INTO worker.jobs (kind, queue, tenant, state, args, run_at, attempt, max_attempts, errors,
                         created_at, dispatched_at, started_at, finished_at)
SELECT k.kind, k.queue,
       ('00000000-0000-4000-8000-' || lpad(to_hex(CASE WHEN %(is_skewed)s AND n %% 2 = 0 THEN 1
           ELSE 1 + (n * 7919) %% %(tenants)s END), 12, '0'))::uuid,
       CASE WHEN n %% 20 = 0 THEN 'discarded' WHEN n %% 997 = 0 THEN 'cancelled'
            ELSE 'completed' END,
       CASE WHEN k.names IS NULL THEN '{}' ELSE jsonb_build_object(k.names, md5(n::text)::uuid) END
           || k.others, at, 1 + n %% 3, 3,
       CASE WHEN n %% 20 = 0 THEN jsonb_build_array(jsonb_build_object(
           'attempt', 3, 'at', at, 'trace', 'Traceback' || repeat(E'\\n  File "x.py", line 1', 20),
           'error', CASE n %% 7
               WHEN 0 THEN 'RateLimited: retry after ' || n %% 60 || ' s'
               WHEN 1 THEN 'The page http://site' || n %% 500 || '.example/p answers 404'
               WHEN 2 THEN 'PdfEncrypted: file ' || md5(n::text)
               ELSE 'ConnectTimeout after ' || n %% 30 || ' s' END)) ELSE '[]' END,
       at, at + interval '40 ms', at + interval '60 ms',
       at + interval '1 ms' * (70 + (n * 31) %% 4000)
FROM generate_series(1, %(jobs)s::bigint) AS n
CROSS JOIN LATERAL (SELECT now() - interval '7 days' * (1 - n::float8 / %(jobs)s) AS at) AS t
JOIN filled_kinds AS k ON k.place = CASE WHEN %(is_skewed)s AND n %% 4 > 0
    THEN (SELECT place FROM filled_kinds WHERE kind = 'send_email')
    ELSE (n * 13 + n / 30) %% (SELECT count(*) FROM filled_kinds) END
"""
# Of kinds that name something, which is gone: others would find much to do in this database.
UNFINISHED = """
INSERT INTO worker.jobs (kind, queue, tenant, state, args, run_at, attempt, max_attempts, errors)
SELECT k.kind, k.queue,
       ('00000000-0000-4000-8000-' || lpad(to_hex(1 + (n * n) %% 50), 12, '0'))::uuid,
       CASE WHEN n <= %(retryable)s THEN 'retryable' WHEN n %% 5 = 0 THEN 'scheduled'
            ELSE 'available' END,
       CASE WHEN k.names IS NULL THEN '{}' ELSE jsonb_build_object(k.names, md5('w' || n)::uuid) END
           || k.others,
       now() + CASE WHEN n %% 5 = 0 OR n <= %(retryable)s THEN interval '1 s' * n
                    ELSE interval '-50 ms' * n END,
       CASE WHEN n <= %(retryable)s THEN 1 ELSE 0 END, 3,
       CASE WHEN n <= %(retryable)s THEN
           '[{"attempt": 1, "error": "RateLimited: retry after 30 s", "trace": null}]'::jsonb
           ELSE '[]' END
FROM generate_series(1, %(waiting)s) AS n
JOIN (SELECT *, row_number() OVER (ORDER BY place) - 1 AS number, count(*) OVER () AS kinds
      FROM filled_kinds WHERE names IS NOT NULL) AS k ON k.number = (n * 13) %% k.kinds
"""
# As the trigger does, which rests here.
GROUPS = """
UPDATE worker.jobs
SET error_group = worker.fingerprint(errors -> -1 ->> 'error', errors -> -1 ->> 'trace')
WHERE state IN ('discarded', 'retryable')
"""
SOURCES = """
INSERT INTO public.knowledge_sources
    (agent_id, type, name, url, status, error_message, last_synced_at)
SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(1 + n %% %(tenants)s), 12, '0'))::uuid, 'url',
       'Page ' || n, 'https://site' || n %% 500 || '.example/' || n,
       CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'completed' END,
       CASE WHEN n %% 50 = 0 THEN 'The page answers 404' END,
       now() - interval '1 min' * (n %% 10000)
FROM generate_series(1, %(jobs)s / 10) AS n
"""
WEBHOOKS = """
INSERT INTO public.webhooks (id, user_id, name, url, events, secret)
SELECT ('00000000-0000-4000-a000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       'Hook ' || n, 'https://hooks' || n || '.example/in', '{webhook.test}',
       'whsec_' || md5(n::text)
FROM generate_series(1, %(tenants)s) AS n
"""
DELIVERIES = """
INSERT INTO public.webhook_deliveries (webhook_id, event_id, event_type, event_data, status,
                                       http_status, attempt_count, duration_ms, created_at)
SELECT ('00000000-0000-4000-a000-' || lpad(to_hex(1 + n %% %(tenants)s), 12, '0'))::uuid,
       md5('e' || n)::uuid, 'webhook.test', '{}',
       CASE WHEN n %% 25 = 0 THEN 'failed' ELSE 'delivered' END,
       CASE WHEN n %% 25 = 0 THEN 503 ELSE 200 END, 1 + n %% 3, n %% 900,
       now() - interval '7 days' * (1 - n::float8 / (%(jobs)s / 10))
FROM generate_series(1, %(jobs)s / 10) AS n
"""
MAILS = """
INSERT INTO public.email_logs
    (user_id, to_email, from_email, subject, email_type, status, created_at)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(1 + n %% %(tenants)s), 12, '0'))::uuid,
       'reader' || n || '@example.com', 'no-reply@example.com', 'Subject ' || n, 'welcome',
       CASE WHEN n %% 5000 = 0 THEN 'uncertain' WHEN n %% 40 = 0 THEN 'failed' ELSE 'sent' END,
       now() - interval '7 days' * (1 - n::float8 / (%(jobs)s / 10))
FROM generate_series(1, %(jobs)s / 10) AS n
"""
USAGE = """
INSERT INTO public.usage_logs (user_id, agent_id, usage_type, ai_model, total_tokens, total_cost,
                               created_at)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(1 + n %% %(tenants)s), 12, '0'))::uuid,
       ('00000000-0000-4000-9000-' || lpad(to_hex(1 + n %% %(tenants)s), 12, '0'))::uuid,
       CASE WHEN n %% 3 = 0 THEN 'embedding' ELSE 'message' END,
       CASE WHEN n %% 3 = 0 THEN 'text-embedding-ada-002' ELSE 'anthropic/claude-3.5-sonnet' END,
       n %% 3000, (n %% 3000) * 0.000003,
       now() - interval '90 days' * (1 - n::float8 / (%(jobs)s / 10))
FROM generate_series(1, %(jobs)s / 10) AS n
"""
STEPS = {
    "accounts": ACCOUNTS, "agents": AGENTS, "kinds": KINDS, "ended jobs": ENDED,
    "unfinished jobs": UNFINISHED, "error groups": GROUPS,
    "sources": SOURCES, "webhooks": WEBHOOKS, "deliveries": DELIVERIES, "mails": MAILS,
    "usage": USAGE,
}  # fmt: skip


def fill(conn: Connection, jobs: int, *, shape: str = SHAPES[0]) -> None:
    """Make the rows; triggers rest meanwhile, so that none of them makes work of its own."""
    assert shape in SHAPES, shape
    values = {
        "jobs": jobs, "tenants": TENANTS, "waiting": WAITING, "retryable": RETRYABLE,
        "is_skewed": shape == "skewed",
    }  # fmt: skip
    for name, statement in STEPS.items():
        began_at = time.monotonic()
        with conn.transaction():
            # Accounts need theirs: a profile is made by a trigger.
            role = "origin" if name == "accounts" else "replica"
            conn.execute(f"SET LOCAL session_replication_role = {role}".encode())
            rows = conn.execute(statement.encode(), values).rowcount
        print(f"{rows:>9,} {name} in {time.monotonic() - began_at:.1f} s", file=sys.stderr)
    conn.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    url, jobs, shape = [*sys.argv[1:], *("2000000", SHAPES[0])[len(sys.argv) - 2 :]]
    with connect(url, autocommit=True) as opened:
        fill(opened, int(jobs), shape=shape)
