"""An agent that changes its embedding model: its jobs, run one by one in the test's process."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from db import jobs, waits
from db.jobs import Claimed
from db.pool import open_pool
from pipelines.errors import Permanent
from pipelines.gateways.embedder import Embedder
from pipelines.gateways.local_embedder import LOCAL_MODEL
from tests.fakes import FakeOpenAI
from tests.knowledge import Indexing
from tests.queueing import dispatch, start_worker
from workers import actors, config
from workers.jobs import KINDS, ChangeModel, enqueue
from workers.outcome import decide
from workers.tools import Toolbox, Tools

ADA = "text-embedding-ada-002"


@dataclass
class Agent:
    """An agent with sources of the local model, and workers that run its jobs."""

    knowledge: Indexing
    fake: FakeOpenAI
    embedders: dict[str, Embedder]
    monkeypatch: pytest.MonkeyPatch
    texts: list[str]
    sources: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        actors.load_doorways()
        self.monkeypatch.setattr(Tools, "embedder_for", lambda tools, model: self.embedder(model))
        for text in self.texts:
            self.sources.append(self.knowledge.insert(content=text))
            self.knowledge.run()

    def embedder(self, model: str | None) -> Embedder:
        if model not in (None, *self.embedders):
            raise Permanent(f"there is no model {model}")
        return self.embedders[model or LOCAL_MODEL]

    def ask(self, model: str = ADA) -> int:
        return enqueue(self.knowledge.conn, ChangeModel(self.knowledge.agent_id, model))

    def claim(self, queue: str) -> Claimed | None:
        conn = self.knowledge.conn
        worker_id = start_worker(conn, queue)
        with conn.transaction():
            tickets = dispatch(conn, queue=queue, room=1)
            claimed = jobs.claim_jobs(conn, tickets, worker_id=worker_id)
        return claimed[0] if claimed else None

    def work(self, job: Claimed) -> None:
        """Run and finish as the outcome table says; nothing is raised."""
        error: BaseException | None = None
        result = None
        with open_pool(self.knowledge.url, size_max=4) as pool:
            try:
                result = actors.run_job(job, Toolbox(config.load(), pool))
            except Exception as raised:  # noqa: BLE001 - the outcome table answers it
                error = raised
        finish = decide(job, error, plan=KINDS[job.kind].retry, luck=0, result=result)
        if finish is not None:
            jobs.finish_jobs(self.knowledge.conn, [finish])
        waits.settle(self.knowledge.conn, rows_max=1000)

    def step(self) -> str | None:
        """Run one job; its kind, None when there is none."""
        job = self.claim("default") or self.claim("knowledge")
        if job is None:
            return None
        self.work(job)
        return job.kind

    def run(self) -> list[str]:
        done = []
        while (kind := self.step()) is not None:
            done.append(kind)
        return done

    @property
    def model(self) -> str | None:
        row = self.knowledge.row("SELECT embedding_model FROM public.agents")
        model: str | None = row["embedding_model"]
        return model

    def models(self) -> dict[str, int]:
        rows = self.knowledge.rows(
            "SELECT embedding_model AS model, count(*) FROM public.knowledge_chunks GROUP BY 1"
        )
        return {row["model"]: row["count"] for row in rows}

    def contents(self) -> list[tuple[Any, ...]]:
        rows = self.knowledge.rows(
            "SELECT source_id, chunk_index, content, metadata::text, content_hash"
            " FROM public.knowledge_chunks ORDER BY 1, 2"
        )
        return [tuple(row.values()) for row in rows]

    def notices(self) -> list[str]:
        rows = self.knowledge.rows("SELECT message FROM public.notifications ORDER BY created_at")
        return [row["message"] for row in rows]

    def waits_for_a_lock(self) -> bool:
        return bool(
            self.knowledge.rows("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        )

    def edit(self, source_id: UUID, content: str) -> None:
        self.knowledge.conn.execute(
            "UPDATE public.knowledge_sources SET content = %s WHERE id = %s", (content, source_id)
        )
