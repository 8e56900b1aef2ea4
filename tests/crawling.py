"""One crawl in the test's own process, on a real database with real fences."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from db import jobs, waits
from db.fence import Fence
from db.jobs import Claimed, Finish
from db.pool import Pool, open_pool
from pipelines import crawl_site, report_crawl
from pipelines.crawling.work import Batches, Desk
from pipelines.errors import JobError, Snooze
from pipelines.gateways.polite import PoliteClient
from tests.knowledge import Indexing
from tests.queueing import dispatch, start_worker
from workers import chains
from workers.jobs import KINDS, IndexSource, ReportCrawl, enqueue
from workers.outcome import decide

WAIT_S_MAX = 30.0

# Owners are mailed of what failed: no work of these tests.
QUEUES = ("knowledge", "default")


@dataclass
class Crawling:
    """Crawls sites with the knowledge fixture's agent; without a gap between requests."""

    knowledge: Indexing
    pool: Pool
    gap_s: float = 0.0
    slice_s: float = 60.0

    def insert(self, url: str, **settings: Any) -> UUID:
        """A source that stands for the site at `url`."""
        wanted = Jsonb({"crawl": settings or True})
        return self.knowledge.insert("url", url=url, settings=wanted)

    def crawl(self, url: str, **settings: Any) -> UUID:
        source_id = self.insert(url, **settings)
        self.work_off()
        return source_id

    def again(self, source_id: UUID) -> None:
        """As a schedule or its owner asks for it."""
        self.knowledge.conn.execute(
            "UPDATE public.knowledge_sources SET status = 'pending' WHERE id = %s", [source_id]
        )
        self.work_off()

    def work_off(self) -> None:
        """Run every job of a crawl, those that come again too, until none is left."""
        until = time.monotonic() + WAIT_S_MAX
        while self.left():
            assert time.monotonic() < until, "the jobs do not come to an end"
            self.hurry()
            waits.settle(self.knowledge.conn, rows_max=1000)
            for queue in QUEUES:
                for job in self.claim(queue):
                    self.attempt(job)

    def left(self) -> bool:
        row = self.knowledge.conn.execute(
            "SELECT count(*) FROM worker.jobs WHERE queue = ANY (%s)"
            " AND state NOT IN ('completed', 'discarded', 'cancelled')",
            [list(QUEUES)],
        ).fetchone()
        return row is not None and row[0] > 0

    def hurry(self) -> None:
        """What waits for its time is due: pages to be tried again, jobs that were snoozed."""
        self.knowledge.conn.execute(
            "UPDATE worker.jobs SET state = 'available'"
            " WHERE state IN ('scheduled', 'retryable') AND NOT blocked"
        )
        self.knowledge.conn.execute("UPDATE worker.crawl_pages SET due_at = now()")
        self.knowledge.conn.execute("UPDATE worker.hosts SET free_at = 'epoch'")

    def claim(self, queue: str, *, room: int = 100) -> list[Claimed]:
        conn = self.knowledge.conn
        worker_id = start_worker(conn, queue)
        with conn.transaction():
            tickets = dispatch(conn, queue=queue, room=room)
            return jobs.claim_jobs(conn, tickets, worker_id=worker_id)

    def attempt(self, job: Claimed) -> None:
        """Run a claimed job; its outcome is stored as the outcome table says."""
        error: BaseException | None = None
        try:
            self.run(job)
        except (JobError, Snooze) as raised:
            error = raised
        finish = decide(job, error, plan=KINDS[job.kind].retry, luck=0)
        jobs.finish_jobs(self.knowledge.conn, [finish or Finish(job.id, -1, "completed")])

    def run(self, job: Claimed) -> None:
        fence = Fence(self.pool, job.id, job.attempt)
        match job.kind:
            case "index_source":
                self.knowledge.work(fence)
            case "crawl_site":
                desk = self.desk(fence)
                source_id = UUID(job.args["source_id"])
                crawl_site.run(desk, source_id=source_id, slice_s=self.slice_s)
            case "report_crawl":
                report_crawl.run(fence, source_id=UUID(job.args["source_id"]))

    def desk(self, fence: Fence) -> Desk:
        client = PoliteClient(self.knowledge.client, fence, gap_s=self.gap_s)
        job = jobs.get_job(self.knowledge.conn, fence.job_id)
        assert job is not None
        report = ReportCrawl(UUID(job.args["source_id"]))
        batches = Batches(
            lambda conn, job_id: chains.callback_of(conn, job_id, then=report),
            lambda conn, callback, child: chains.add_to_batch(
                conn, callback, [IndexSource(child)], priority=10
            ),
            lambda conn, source_id: enqueue(conn, IndexSource(source_id)),
        )
        return Desk(fence, client, self.knowledge.parser, batches)

    def parent(self, source_id: UUID) -> dict[str, Any]:
        return self.knowledge.source(source_id)

    def report(self, source_id: UUID) -> dict[str, Any]:
        found: dict[str, Any] = self.parent(source_id)["progress"]
        return found

    def children(self, source_id: UUID) -> list[dict[str, Any]]:
        return self.knowledge.rows(
            "SELECT * FROM public.knowledge_sources WHERE parent_id = %s ORDER BY url", source_id
        )

    def paths(self, source_id: UUID) -> list[str]:
        """Of the children, in order."""
        return [child["url"].split("/", 3)[3] for child in self.children(source_id)]

    def states(self, source_id: UUID) -> dict[str, str]:
        """Of the pages, by path."""
        rows = self.knowledge.rows(
            "SELECT url, state FROM worker.crawl_pages WHERE source_id = %s", source_id
        )
        return {row["url"].split("/", 3)[3]: row["state"] for row in rows}


@contextmanager
def crawling(knowledge: Indexing) -> Iterator[Crawling]:
    with open_pool(knowledge.url, size_max=4) as pool:
        yield Crawling(knowledge, pool)


def page(title: str, *links: str, text: str | None = None, head: str = "") -> str:
    """A page with text of its own and these links."""
    anchors = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    said = text or f"{title} is explained here, in words that no other page of the site has."
    return (
        f"<html><head><title>{title}</title>{head}</head><body><main><h1>{title}</h1>"
        f"<p>{said}</p></main><nav><ul>{anchors}</ul></nav></body></html>"
    )
