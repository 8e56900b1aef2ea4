"""One attempt of `index_source` in the test's own process, on a real database with a real fence."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from db import demo, jobs
from db.fence import Fence
from db.jobs import Finish
from db.pool import Connection, open_pool
from pipelines.gateways.addresses import Egress
from pipelines.gateways.embedder import Embedder
from pipelines.gateways.http import Client
from pipelines.gateways.local_embedder import LocalEmbedder
from pipelines.gateways.storage import Storage
from pipelines.index_source import Desk, run
from pipelines.knowledge.report import Report
from pipelines.knowledge.sandbox import Parser
from pipelines.readers.tools import ReadingTools
from pipelines.sealing import Keyring, parse_keys
from pipelines.vault import Vault
from tests.queueing import dispatch, start_worker
from workers.jobs import KINDS
from workers.outcome import decide

CREDENTIALS_KEY = "00112233445566778899aabbccddeeff" * 2


@dataclass
class Indexing:
    """Inserts sources and runs their jobs; `embedder` may be changed between runs."""

    conn: Connection
    agent_id: UUID
    client: Client
    parser: Parser
    files: Path
    embedder: Embedder
    url: str
    vault: Vault = field(default_factory=lambda: Vault(Keyring(parse_keys(CREDENTIALS_KEY))))
    storage: Storage | None = None

    def insert(self, type: str = "text", **fields: Any) -> UUID:
        """Insert a source as the web tier does; the trigger enqueues its job."""
        columns = {"agent_id": self.agent_id, "name": "test", "type": type, **fields}
        names = ", ".join(columns)
        places = ", ".join(f"%({name})s" for name in columns)
        row = self.conn.execute(
            f"INSERT INTO public.knowledge_sources ({names}) VALUES ({places}) RETURNING id",
            columns,
        ).fetchone()
        assert row is not None
        return UUID(str(row[0]))

    def run(self) -> Report:
        """Run the one waiting job; its outcome is stored, what it raised is raised."""
        with self.attempt() as fence:
            return self.work(fence)

    def work(self, fence: Fence) -> Report:
        job = jobs.get_job(self.conn, fence.job_id)
        assert job is not None
        return run(self.desk(fence), source_id=UUID(job.args["source_id"]))

    def desk(self, fence: Fence) -> Desk:
        reading = ReadingTools(
            fence, self.client, self.parser, self.files, vault=self.vault, storage=self.storage
        )
        return Desk(fence, reading, lambda model: self.embedder)

    def set_credentials(self, source_id: UUID, **values: Any) -> None:
        """As the source's owner does."""
        owner = self.row("SELECT user_id FROM public.agents WHERE id = %s", self.agent_id)
        with self.conn.transaction():
            claims = json.dumps({"sub": str(owner["user_id"])})
            self.conn.execute("SELECT set_config('request.jwt.claims', %s, true)", [claims])
            self.conn.execute("SET LOCAL ROLE authenticated")
            self.conn.execute(
                "SELECT public.set_source_credentials(%s, %s)", [source_id, Jsonb(values)]
            )

    @contextmanager
    def attempt(self) -> Iterator[Fence]:
        """Dispatch, claim, and at the end finish as the outcome table says."""
        worker_id = start_worker(self.conn, "knowledge")
        with self.conn.transaction():
            tickets = dispatch(self.conn, queue="knowledge", room=1)
            (claimed,) = jobs.claim_jobs(self.conn, tickets, worker_id=worker_id)
        error: BaseException | None = None
        with open_pool(self.url, size_max=4) as pool:
            try:
                yield Fence(pool, claimed.id, claimed.attempt)
            except Exception as raised:
                error = raised
                raise
            finally:
                finish = decide(claimed, error, plan=KINDS["index_source"].retry, luck=0)
                jobs.finish_jobs(self.conn, [finish or Finish(claimed.id, -1, "completed")])

    def source(self, source_id: UUID) -> dict[str, Any]:
        return self.row("SELECT * FROM public.knowledge_sources WHERE id = %s", source_id)

    def chunks(self, source_id: UUID) -> list[dict[str, Any]]:
        return self.rows(
            "SELECT id, content, tokens, chunk_index, metadata, embedding_model, content_hash,"
            " xmin::text AS edition, extensions.vector_dims(embedding) AS dimensions"
            " FROM public.knowledge_chunks WHERE source_id = %s ORDER BY chunk_index",
            source_id,
        )

    def contents(self, source_id: UUID) -> list[str]:
        return [chunk["content"] for chunk in self.chunks(source_id)]

    def usage(self) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM public.usage_logs WHERE usage_type = 'embedding'")

    def row(self, query: str, *arguments: object) -> dict[str, Any]:
        (found,) = self.rows(query, *arguments)
        return found

    def rows(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        cursor = self.conn.cursor(row_factory=dict_row)
        return cursor.execute(query.encode(), arguments).fetchall()


@contextmanager
def indexing(conn: Connection, url: str, home: Path, parser: Parser) -> Iterator[Indexing]:
    user_id = demo.ensure_user(conn, email="owner@example.com", full_name="Owner")
    agent_id = demo.create_agent(
        conn, user_id=user_id, name="Agent", description="", system_prompt=""
    )
    client = Client(Egress.parse("127.0.0.1"))
    prepared = Indexing(conn, agent_id, client, parser, home / "files", LocalEmbedder(), url)
    try:
        yield prepared
    finally:
        prepared.client.close()
