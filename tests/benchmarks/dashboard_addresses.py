"""What the dashboard is asked for when its speed is measured: every page, and many filters."""

from urllib.parse import quote

from db.pool import Connection
from workers.dashboard.pages.jobs import READY
from workers.dashboard.site import PAGES

# The one that has half of all jobs where they are skewed, and one of nobody.
BUSY_TENANT = "00000000-0000-4000-8000-000000000001"
NO_TENANT = "00000000-0000-4000-8000-ffffffffffff"
FILTERS = (
    "state:available",
    "state:discarded",
    "state:completed",
    "state:retryable",
    "state:discarded kind:index_source",
    "state:completed kind:send_email",
    "kind:index_source",
    "queue:webhooks",
    f"tenant:{BUSY_TENANT}",
    "tenant:00000000-0000-4000-8000-0000000000ff",
    f"tenant:{NO_TENANT}",
    "error:RateLimited",
    'error:"no such words anywhere"',
    "args.source_id:c4ca4238-a0b9-2382-0dcc-509a6f75849b",
    "args.source_id:00000000-0000-0000-0000-000000000000",
    "age>6d",
    "age<5m",
    "ran>3s",
    "ran>1h",
    "attempt>=3 state:completed",
    "-state:completed",
    "-kind:probe state:discarded error:404",
    "finished<1h state:discarded",
    "created>2020-01-01",
    "id:1000000",
    # Often and seldom, by one value.
    "args.model:text-embedding-ada-002",
    "args.model:nobody-has-it",
    "args.model:*",
    'error:"no such words anywhere" state:discarded',
    "group:000000000000",
    "worker:00000000-0000-4000-8000-000000000001",
    "unique:nobody-has-it",
    "priority>0",
    "00000000-0000-4000-8000-00000000abcd",
    # What is not.
    f"-tenant:{BUSY_TENANT}",
    "-tenant:*",
    "-kind:send_email -state:completed",
    "-args.source_id:*",
    "-error:* state:discarded",
    "-state:completed,discarded,available",
    # Long ago.
    "finished>6d",
    "finished<2020-01-01",
    "created<2020-01-01",
    "created:2020-01-01",
    "discarded>6d",
    "finished>3d finished<4d state:discarded",
    "id<1000",
    "waited>10m",
    "waited<1s ran>3s",
    # Two that are seldom together.
    f"tenant:{BUSY_TENANT} kind:prune",
    f"tenant:{BUSY_TENANT} error:404",
    f"tenant:{NO_TENANT} state:discarded",
    "kind:crawl_site error:RateLimited",
    "state:available,running kind:index_source",
    "args.model:text-embedding-ada-002 state:discarded attempt<2",
)
OTHER_LISTS = (
    "/?range=24h",
    "/jobs?limit=50",
    "/errors?window=7d",
    "/knowledge?status=failed",
    "/webhooks?q=hooks7",
    "/email?status=failed",
    "/email?q=reader77",
    "/tenants?q=owner77",
    "/tenants?idle=show",
    "/queues/default",
    "/schedules/prune",
    "/runbooks",
    "/runbooks/queue-age",
    "/operators",
    "/account",
)
# Lines as they are typed, for what may come next.
TYPED = ("", "kind:", "tenant:own", "group:", "error:Rate", "args.")
PREVIEWS = (
    ("state:discarded", "retry"),
    ("state:available,scheduled", "cancel"),
    ("state:retryable", "discard"),
    ("state:completed", "replay"),
    ("-state:completed kind:index_source", "priority"),
    # Of which few or none are found, or more than one preview takes.
    ("", "replay"),
    ('error:"no such words anywhere"', "retry"),
    ("args.source_id:00000000-0000-0000-0000-000000000000", "replay"),
    (f"tenant:{BUSY_TENANT}", "replay"),
    ("-kind:probe error:404", "retry"),
)
DOMAIN_PREVIEWS = (
    "/knowledge/index-all?status=failed",
    "/email/settle-all?status=uncertain&outcome=sent",
)
# A row's place in a list by finish, as pages write it.
PLACE = "id || '~' || to_char(finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
# The address of a page, and which it is asked for.
ROWS = {
    "/jobs/{}": "SELECT max(id) FROM worker.jobs UNION ALL SELECT min(id) FROM worker.jobs",
    "/jobs?after={}": "SELECT max(id) / 2 FROM worker.jobs",
    "/jobs?q=kind%3Acrawl_site&after={}": "SELECT max(id) / 2 FROM worker.jobs",
    "/jobs?q=state%3Acompleted&after={}": f"SELECT {PLACE} FROM worker.jobs"
    " WHERE state = 'completed' AND id > (SELECT max(id) / 2 FROM worker.jobs) LIMIT 1",
    "/jobs?q=state%3Adiscarded+error%3A404&after={}": f"SELECT {PLACE} FROM worker.jobs"
    " WHERE state = 'discarded' AND id > (SELECT max(id) / 2 FROM worker.jobs) LIMIT 1",
    "/errors/{}": "SELECT error_group FROM worker.jobs WHERE error_group IS NOT NULL"
    " GROUP BY 1 ORDER BY count(*) DESC LIMIT 2",
    "/jobs?q=group%3A{}": "SELECT error_group FROM worker.jobs WHERE error_group IS NOT NULL"
    " GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
    "/tenants/{}": "SELECT tenant FROM worker.jobs WHERE tenant IS NOT NULL"
    " GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
    "/knowledge/{}": "SELECT id FROM public.knowledge_sources WHERE status = 'failed' LIMIT 1",
    "/webhooks/{}": "SELECT id FROM public.webhooks LIMIT 1",
    "/webhooks/{}/recover?since=2020-01-01T00:00": "SELECT id FROM public.webhooks LIMIT 1",
    "/webhooks/deliveries/{}": "SELECT id FROM public.webhook_deliveries LIMIT 1",
    "/email/{}": "SELECT id FROM public.email_logs WHERE status = 'failed' LIMIT 1",
}


def addresses(conn: Connection) -> list[str]:
    filters = [*FILTERS, *(text for _, text in READY)]
    return [
        *(path for path, _, _ in PAGES),
        *OTHER_LISTS,
        *(f"/jobs?q={quote(text)}" for text in filters),
        *(f"/jobs/suggest?q={quote(text)}" for text in TYPED),
        *(f"/jobs?q={quote(text)}&preview={action}&all=1" for text, action in PREVIEWS),
        *DOMAIN_PREVIEWS,
        *details(conn),
    ]


def details(conn: Connection) -> list[str]:
    """A page of each that has one: the newest and the oldest job, the busiest of others."""
    found = []
    for pattern, statement in ROWS.items():
        rows = conn.execute(statement.encode()).fetchall()
        found += [pattern.format(row[0]) for row in rows]
    return found
