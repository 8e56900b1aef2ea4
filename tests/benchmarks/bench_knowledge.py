"""The whole pipeline: pages/s, stored rows/s beside a bare COPY, a corpus beside LlamaIndex's.

The provider answers at once, from a process of its own; ours runs as it is deployed: a dispatcher
and a worker process. LlamaIndex gets the same texts, chunk size, provider, batch size and Postgres.
"""

import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from platform import python_version
from random import Random
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import numpy as np
from llama_index.core import Document
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.vector_stores.postgres import PGVectorStore

from db import chunks, demo
from db.chunks import NewChunk
from db.embedded import Services, serve
from db.migrate import migrate
from db.pool import Connection, connect
from pipelines.knowledge.tokens import load_encoding
from tests.benchmarks.bench_splitter import articles, edit
from tests.fakes_site import Site, site
from tests.processes import ROOT, avivro, wait_until

MODEL = "text-embedding-ada-002"
TOKENS_MAX = 512
PAGES = 300
PAGE_BYTES = 6_000
# One host is asked every 0.4 s at most: with many, it is not what is measured.
HOSTS = 50
DOCUMENTS = 100
DOCUMENT_BYTES = 20_000
ROWS = 1_000
REPETITIONS = 3
# Rows that are there before, so that the index is one that costs something to add to.
ROWS_BEFORE = 5_000

# Brings a corpus to these texts; in how many seconds.
Run = Callable[[list[str]], float]


@dataclass(frozen=True)
class World:
    """The servers that everybody uses, and an agent."""

    services: Services
    provider_url: str
    conn: Connection
    agent_id: UUID

    @property
    def database_url(self) -> str:
        assert self.services.database_url is not None
        return self.services.database_url

    def sent(self) -> dict[str, int]:
        """Inputs and characters that the provider was sent since the last time."""
        with urllib.request.urlopen(f"{self.provider_url}/tokens") as answer:
            counts: dict[str, int] = json.load(answer)
            return counts


def main() -> None:
    with prepared() as world:
        print_versions(world.conn)
        ratios = [*compare_store(world), *compare_corpora(world)]
        print("\nours / other, losses first (above 1 ours is better)")
        for ratio, line in sorted(ratios):
            print(f"{'LOSS' if ratio < 1 else 'ok':4}  {ratio:7.2f}x  {line}")
        print_pages(world)


@contextmanager
def prepared() -> Iterator[World]:
    with TemporaryDirectory(prefix="avivro-bench-") as home, serve(Path(home)) as services:
        assert services.database_url is not None
        migrate(services.database_url)
        with provider() as provider_url, connect(services.database_url, autocommit=True) as conn:
            user_id = demo.ensure_user(conn, email="owner@example.com", full_name="Owner")
            agent_id = demo.create_agent(
                conn, user_id=user_id, name="Agent", description="", system_prompt=""
            )
            yield World(services, provider_url, conn, agent_id)


@contextmanager
def provider() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.instant_provider"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.wait()


def print_versions(conn: Connection) -> None:
    row = conn.execute("SHOW server_version").fetchone()
    packages = ("psycopg", "llama-index-core", "llama-index-vector-stores-postgres", "openai")
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    print(f"Python {python_version()}, PostgreSQL {row[0] if row else ''}, {versions}")
    print(f"chunks of at most {TOKENS_MAX} tokens, vectors of 1,536, HNSW m 16, ef_construction 64")
    print(f"{REPETITIONS} repetitions, alternating; medians (smallest to largest)")


# Storing: rows beside a bare COPY BINARY into the same table, its HNSW index and triggers included.


def compare_store(world: World) -> list[tuple[float, str]]:
    luck = np.random.default_rng(1)
    store_bare(world.conn, add_source(world), world.agent_id, rows(luck, ROWS_BEFORE))
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(REPETITIONS):
        for times, store in ((ours, store_ours), (bare, store_bare)):
            source_id, new = add_source(world), rows(luck, ROWS)
            begun = time.perf_counter()
            store(world.conn, source_id, world.agent_id, new)
            times.append(ROWS / (time.perf_counter() - begun))
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    line = f"rows stored/s beside a bare COPY BINARY: {spread(ours)} against {spread(bare)}"
    return [(statistics.median(ratios), f"{line}; aim 0.9x")]


def add_source(world: World) -> UUID:
    row = world.conn.execute(
        "INSERT INTO public.knowledge_sources (agent_id, name, type, content, status)"
        " VALUES (%s, 'bench', 'text', 'x', 'completed') RETURNING id",
        (world.agent_id,),
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def rows(luck: np.random.Generator, count: int) -> list[NewChunk]:
    vectors = luck.standard_normal((count, 1536), dtype=np.float32)
    return [
        NewChunk(
            id=uuid4(),
            content=f"Chunk {index}. " + "What an owner taught their agent. " * 50,
            tokens=400,
            vector=vector / np.linalg.norm(vector),
            chunk_index=index,
            metadata={"heading_path": ["A", "B"], "kinds": ["paragraph"]},
            content_hash=f"{index:064x}",
        )
        for index, vector in enumerate(vectors)
    ]


def store_ours(conn: Connection, source_id: UUID, agent_id: UUID, new: list[NewChunk]) -> None:
    """What `index_source` does in its last transaction."""
    placed = [chunks.PlacedChunk(chunk.id, 0, len(chunk.content)) for chunk in new]
    with conn.transaction():
        chunks.delete_others(conn, source_id=source_id, kept=[], model=MODEL)
        chunks.copy_chunks(conn, new, source_id=source_id, agent_id=agent_id, model=MODEL)
        chunks.place_chunks(conn, placed)


def store_bare(conn: Connection, source_id: UUID, agent_id: UUID, new: list[NewChunk]) -> None:
    with conn.transaction():
        chunks.copy_chunks(conn, new, source_id=source_id, agent_id=agent_id, model=MODEL)


# A corpus: from texts to searchable chunks, then again after one paragraph of each was edited.


def compare_corpora(world: World) -> list[tuple[float, str]]:
    random = Random(2)
    parts = [list(articles(random, DOCUMENT_BYTES)) for _ in range(DOCUMENTS)]
    first = ["\n\n".join(text for _, text in each) for each in parts]
    second = ["\n\n".join(text for _, text in edit(random, each)) for each in parts]
    first_s: dict[str, list[float]] = {"ours": [], "theirs": []}
    again_s: dict[str, list[float]] = {"ours": [], "theirs": []}
    again_sent: dict[str, list[int]] = {"ours": [], "theirs": []}
    for _ in range(REPETITIONS):
        for name, corpus in (("ours", ours(world)), ("theirs", theirs(world))):
            with corpus as run:
                first_s[name].append(run(first))
                world.sent()
                again_s[name].append(run(second))
                again_sent[name].append(world.sent()["chars"])
        world.conn.execute("DELETE FROM public.knowledge_sources")
        world.conn.execute("DELETE FROM worker.embedding_cache")
    size = f"{DOCUMENTS} texts of {DOCUMENT_BYTES // 1000} kB"
    return [
        compare(f"documents/s, {size}, LlamaIndex", first_s),
        compare("documents/s after one paragraph of each was edited, LlamaIndex", again_s),
        (
            statistics.median(again_sent["theirs"]) / statistics.median(again_sent["ours"]),
            "characters not embedded again after those edits:"
            f" {statistics.median(again_sent['ours']):,.0f} against"
            f" {statistics.median(again_sent['theirs']):,.0f} were",
        ),
    ]


def compare(what: str, seconds: dict[str, list[float]]) -> tuple[float, str]:
    speeds = {name: [DOCUMENTS / value for value in values] for name, values in seconds.items()}
    ratios = [mine / other for mine, other in zip(speeds["ours"], speeds["theirs"], strict=True)]
    spreads = f"{spread(speeds['ours'])} against {spread(speeds['theirs'])}"
    return statistics.median(ratios), f"{what}: {spreads} ({min(ratios):.2f}-{max(ratios):.2f}x)"


@contextmanager
def ours(world: World) -> Iterator[Run]:
    """Sources as rows, worked off by a dispatcher and a worker process."""
    with crew(world):
        yield lambda texts: index_texts(world, texts)


@contextmanager
def crew(world: World) -> Iterator[None]:
    # The commands' logs are shown at their end, for tests that fail.
    with (
        redirect_stdout(StringIO()),
        TemporaryDirectory(prefix="avivro-bench-") as folder,
        avivro(
            Path(folder) / "run",
            DATABASE_URL=world.database_url,
            REDIS_URL=world.services.redis_url or "",
            AVIVRO_HOME=folder,
            OPENAI_API_KEY="sk-bench",
            OPENAI_BASE_URL=world.provider_url,
            EMBEDDING_MODEL=MODEL,
            EGRESS_ALLOW="127.0.0.1",
        ) as commands,
    ):
        commands.start("dispatcher")
        commands.start("worker")
        time.sleep(3)
        yield


def index_texts(world: World, texts: list[str]) -> float:
    """Insert the texts, or change those that are there; seconds until all are searchable."""
    begun = time.perf_counter()
    with world.conn.transaction():
        ids = world.conn.execute(
            "SELECT id FROM public.knowledge_sources WHERE name LIKE 'text %' ORDER BY name"
        ).fetchall()
        for number, text in enumerate(texts):
            if ids:
                world.conn.execute(
                    "UPDATE public.knowledge_sources SET content = %s WHERE id = %s",
                    (text, ids[number][0]),
                )
            else:
                world.conn.execute(
                    "INSERT INTO public.knowledge_sources (agent_id, name, type, content, settings)"
                    " VALUES (%s, %s, 'text', %s, %s)",
                    (world.agent_id, f"text {number:05}", text, SETTINGS),
                )
    wait_for_all(world.conn)
    return time.perf_counter() - begun


SETTINGS = json.dumps({"chunking": {"tokens_max": TOKENS_MAX}})


def wait_for_all(conn: Connection) -> None:
    def is_done() -> bool:
        left = conn.execute(
            "SELECT 1 FROM public.knowledge_sources WHERE status IN ('pending', 'processing')"
            " LIMIT 1"
        ).fetchone()
        return left is None

    wait_until(is_done, "all sources are indexed", deadline_s=600)
    row = conn.execute(
        "SELECT count(*), min(error_message) FROM public.knowledge_sources WHERE status = 'failed'"
    ).fetchone()
    assert row is not None
    assert row[0] == 0, row


@contextmanager
def theirs(world: World) -> Iterator[Run]:
    """LlamaIndex's ingestion pipeline with a document store that notices changes."""
    address = urlsplit(world.database_url)
    name = f"llama_{uuid4().hex[:8]}"
    # A database of its own: it looks for the vector type in the schema `public` alone.
    world.conn.execute(f"CREATE DATABASE {name}".encode())
    store = PGVectorStore.from_params(
        host=address.hostname,
        port=str(address.port),
        database=name,
        user=address.username,
        password=address.password,
        table_name="chunks",
        embed_dim=1536,
        hnsw_kwargs={
            "hnsw_m": 16,
            "hnsw_ef_construction": 64,
            "hnsw_ef_search": 40,
            "hnsw_dist_method": "vector_cosine_ops",
        },
    )
    encoding = load_encoding("cl100k_base")
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(
                chunk_size=TOKENS_MAX, chunk_overlap=0, tokenizer=encoding.encode_ordinary
            ),
            OpenAIEmbedding(
                api_key="sk-bench",
                api_base=world.provider_url,
                model=MODEL,
                embed_batch_size=2048,
            ),
        ],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
    )

    def run(texts: list[str]) -> float:
        documents = [Document(text=text, doc_id=str(n)) for n, text in enumerate(texts)]
        begun = time.perf_counter()
        pipeline.run(documents=documents)
        return time.perf_counter() - begun

    yield run
    world.conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


# Pages: fetched, parsed in the sandbox, split, embedded, stored.


def print_pages(world: World) -> None:
    random = Random(3)
    with ExitStack() as stack:
        stack.enter_context(crew(world))
        sites = [stack.enter_context(site()) for _ in range(HOSTS)]
        for number in range(PAGES):
            sites[number % HOSTS].page(f"/{number}", page(random, number))
        begun = time.perf_counter()
        with world.conn.transaction():
            for number in range(PAGES):
                add_page(world, sites[number % HOSTS], number)
        wait_for_all(world.conn)
        took_s = time.perf_counter() - begun
    row = world.conn.execute("SELECT count(*) FROM public.knowledge_chunks").fetchone()
    print(
        f"\n{PAGES} pages of {PAGE_BYTES // 1000} kB of text through one worker process:"
        f" {PAGES / took_s:.1f} pages/s, {row[0] / took_s if row else 0:.1f} chunks/s"
    )


def page(random: Random, number: int) -> str:
    paragraphs = "".join(f"<p>{text}</p>" for _, text in articles(random, PAGE_BYTES))
    return (
        f"<!doctype html><html lang=en><head><title>Page {number}</title></head><body><nav>Home"
        f"</nav><main><h1>Page {number}</h1>{paragraphs}</main><footer>Imprint</footer></body>"
    )


def add_page(world: World, web: Site, number: int) -> None:
    world.conn.execute(
        "INSERT INTO public.knowledge_sources (agent_id, name, type, url)"
        " VALUES (%s, %s, 'url', %s)",
        (world.agent_id, f"page {number}", web.url(f"/{number}")),
    )


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):,.1f} ({min(values):,.1f}-{max(values):,.1f})"


if __name__ == "__main__":
    main()
