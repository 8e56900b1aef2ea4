"""Real worker processes that embed with the fake provider, and what came of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import redis
from psycopg.types.json import Jsonb

from db import demo
from db.embedded import Services
from db.pool import Connection, connect
from pipelines.knowledge.tokens import encoding_for
from tests.chaos.fleet import Fleet, fleet
from tests.conftest import fresh_database
from tests.fakes import FakeOpenAI, fake_openai
from tests.processes import wait_until

ADA = "text-embedding-ada-002"
WORDS = "the agent answers a visitor from what its owner taught it and says so plainly".split()
# Inserting into the graph takes most of a run's time, and is not what these runs are about.
PLAIN = "DROP INDEX public.knowledge_chunks_embedding_idx"


@dataclass
class Run:
    """Commands kept alive by a fleet, on a database of their own."""

    conn: Connection
    fleet: Fleet
    fake: FakeOpenAI

    def add_tenant(self, name: str) -> UUID:
        """An owner and an agent; its id."""
        owner = demo.ensure_user(self.conn, email=f"{name}@example.com", full_name=name)
        return demo.create_agent(
            self.conn, user_id=owner, name=name, description="", system_prompt=""
        )

    def insert(self, agent_id: UUID, content: str, *, tokens_max: int) -> UUID:
        row = self.conn.execute(
            "INSERT INTO public.knowledge_sources (agent_id, name, type, content, settings)"
            " VALUES (%s, 'source', 'text', %s, %s) RETURNING id",
            (agent_id, content, Jsonb({"chunking": {"tokens_max": tokens_max}})),
        ).fetchone()
        assert row is not None
        return UUID(str(row[0]))

    def wait_for(self, source_ids: Sequence[UUID], *, deadline_s: float) -> None:
        def ended() -> bool:
            row = self.conn.execute(
                "SELECT count(*) FROM public.knowledge_sources AS s WHERE id = ANY(%s)"
                " AND status IN ('completed', 'failed') AND NOT EXISTS (SELECT FROM worker.jobs"
                " WHERE args->>'source_id' = s.id::text AND state NOT IN"
                " ('completed', 'discarded', 'cancelled'))",
                (list(source_ids),),
            ).fetchone()
            return row == (len(source_ids),)

        wait_until(ended, "all sources end", deadline_s=deadline_s)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.conn.execute(query.encode(), values).fetchall()

    def contents(self, source_id: UUID) -> list[str]:
        found = self.rows(
            "SELECT content FROM public.knowledge_chunks WHERE source_id = %s"
            " AND embedding IS NOT NULL ORDER BY chunk_index",
            source_id,
        )
        return [content for (content,) in found]

    def logged_tokens(self) -> int:
        ((tokens,),) = self.rows("SELECT coalesce(sum(total_tokens), 0) FROM public.usage_logs")
        return int(tokens)

    def rss_mb(self) -> float:
        """Of the largest worker process."""
        sizes = []
        for child in self.fleet.children():
            try:
                sizes.append(child.memory_info().rss / 2**20)
            except psutil.Error:
                continue
        return max(sizes, default=0.0)


@contextmanager
def running(
    services: Services,
    template: str,
    folder: Path,
    posts: Mapping[str, Sequence[str]],
    **env: str,
) -> Iterator[Run]:
    assert services.redis_url is not None
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    with fresh_database(services, template=template) as url, fake_openai() as fake:
        own = {
            "DATABASE_URL": url,
            "REDIS_URL": services.redis_url,
            "AVIVRO_HOME": str(folder / "home"),
            "OPENAI_API_KEY": fake.api_key,
            "OPENAI_BASE_URL": fake.base_url,
            **env,
        }
        with connect(url, autocommit=True) as conn:
            conn.execute(PLAIN)
            with fleet(folder, own, posts) as kept:
                yield Run(conn, kept, fake)


def passages(count: int, *, words: int, mark: str = "") -> str:
    """So many paragraphs, each different, none of which fits beside another in a chunk."""
    return "\n\n".join(
        f"{mark} {n}: " + " ".join(f"{WORDS[(n * 7 + k * k) % len(WORDS)]}" for k in range(words))
        for n in range(count)
    )


def tokens_of(texts: Sequence[str]) -> int:
    encode = encoding_for(ADA).encode_ordinary
    return sum(len(encode(text)) for text in texts)


def repeats(fake: FakeOpenAI) -> Counter[str]:
    """What was paid for more than once, and how often too often."""
    return Counter(fake.billed) - Counter(set(fake.billed))
