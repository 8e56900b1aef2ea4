"""Search at 100k chunks of 100 agents by vector, words and both: how fast, how much it finds.

One agent has 30 % of the chunks, ten have 0.1 % each, the others share the rest. Vectors lie around
topics; an agent's own topics are half of its chunks, topics of everybody the other half, so
that other agents always have nearer chunks. Recall is against an exact search in numpy; words are
ranked exactly, so they have none. Texts are 180 words each, as rare and as common as in a language.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from db import vectors
from db.embedded import serve
from db.migrate import migrate
from db.pool import Connection, connect
from tests.integration.schema_world import acting_as

Matrix = NDArray[np.float32]

DIMENSIONS = 1536
CHUNKS = 100_000
AGENTS = 100
BIG_CHUNKS = 30_000
TINY_AGENTS = 10
TINY_CHUNKS = 100
TOPICS_OF_ALL = 200
TOPICS_OF_AGENT = 5
LATENT_DIMENSIONS = 128
SPREAD = 0.7
WANTED = 10
QUERIES = 60
RECALL_MIN = 0.95
WORDS = 180
VOCABULARY = 30_000
QUESTION_WORDS = 8
OWN_TOPICS = "about its own topics"
ANY_TOPIC = "about anything"
OWNER = UUID("00000000-0000-4000-8000-000000000001")
# Row-level security changes the plan, so both kinds of callers are measured.
CALLERS = {"owner": ("authenticated", OWNER), "service key": ("service_role", None)}

PREPARE = """
INSERT INTO auth.users (id, email) VALUES ('00000000-0000-4000-8000-000000000001', 'o@example.com');
INSERT INTO public.agents (user_id, name, embedding_model)
SELECT '00000000-0000-4000-8000-000000000001', 'Agent ' || n, 'm'
FROM generate_series(1, %(agents)s) AS n;
INSERT INTO public.knowledge_sources (agent_id, name, type, content)
SELECT id, 'Source', 'text', 'x' FROM public.agents;
DROP INDEX public.knowledge_chunks_embedding_idx
"""
BUILD = (
    "SET maintenance_work_mem = '1GB'",
    "CREATE INDEX knowledge_chunks_embedding_idx ON public.knowledge_chunks"
    " USING hnsw (embedding extensions.vector_cosine_ops)",
    "VACUUM ANALYZE public.knowledge_chunks",
    "VACUUM ANALYZE worker.chunk_terms",
)
COPY = (
    "COPY public.knowledge_chunks"
    " (id, source_id, agent_id, content, embedding, embedding_model, chunk_index)"
    " FROM STDIN (FORMAT binary)"
)
SEARCH = "SELECT id FROM public.search_knowledge(%s, %s, %s::extensions.vector, %s, -1)"
MODES = ("vector", "text", "hybrid")


@dataclass(frozen=True)
class Knowledge:
    """Every chunk's id, text, agent and vector; row by row the same."""

    ids: list[UUID]
    texts: list[str]
    agents: NDArray[np.int64]
    vectors: Matrix
    agent_ids: list[UUID]


@dataclass(frozen=True)
class Asked:
    """Who asks about which agents, and what."""

    knowledge: Knowledge
    agents: list[int]
    kind: str
    caller: str
    mode: str


@dataclass(frozen=True)
class Found:
    """One entry a question; `short` counts the answers with fewer chunks than wanted."""

    milliseconds: list[float]
    recalls: list[float]
    short: int

    @property
    def recall(self) -> float:
        return statistics.mean(self.recalls) if self.recalls else 1.0

    @property
    def p50(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def p99(self) -> float:
        return float(np.percentile(self.milliseconds, 99))


def main() -> None:
    rng = np.random.default_rng(7)
    with TemporaryDirectory(prefix="avivro-bench-") as home, serve(Path(home)) as services:
        assert services.database_url is not None
        migrate(services.database_url)
        with connect(services.database_url, autocommit=True) as conn:
            knowledge = fill(conn, rng)
            print_versions(conn)
            print_results(conn, knowledge, rng)


def fill(conn: Connection, rng: np.random.Generator) -> Knowledge:
    for statement in PREPARE.split(";\n"):
        conn.execute(statement.encode(), {"agents": AGENTS})
    rows = conn.execute("SELECT agent_id, id FROM public.knowledge_sources").fetchall()
    sources: dict[UUID, UUID] = dict(rows)
    knowledge = make_knowledge(list(sources), rng)
    with timed(f"stored {CHUNKS:,} chunks"):
        store(conn, knowledge, sources)
    with timed("built the index"):
        for statement in BUILD:
            conn.execute(statement.encode())
    return knowledge


def make_knowledge(agent_ids: list[UUID], rng: np.random.Generator) -> Knowledge:
    others = AGENTS - 1 - TINY_AGENTS
    rest = CHUNKS - BIG_CHUNKS - TINY_AGENTS * TINY_CHUNKS
    shares = [rest // others + (n < rest % others) for n in range(others)]
    sizes = np.array([BIG_CHUNKS] + [TINY_CHUNKS] * TINY_AGENTS + shares)
    agents = rng.permutation(np.repeat(np.arange(AGENTS), sizes))
    topics = TOPICS_OF_ALL + agents * TOPICS_OF_AGENT + rng.integers(TOPICS_OF_AGENT, size=CHUNKS)
    shared = rng.random(CHUNKS) < 0.5
    topics[shared] = rng.integers(TOPICS_OF_ALL, size=int(shared.sum()))
    centres = rng.normal(size=(TOPICS_OF_ALL + AGENTS * TOPICS_OF_AGENT, LATENT_DIMENSIONS))
    latent = centres[topics] + SPREAD * rng.normal(size=(CHUNKS, LATENT_DIMENSIONS))
    lift = rng.normal(size=(LATENT_DIMENSIONS, DIMENSIONS))
    ids = [uuid4() for _ in range(CHUNKS)]
    return Knowledge(ids, make_texts(rng), agents, unit(latent @ lift), agent_ids)


def make_texts(rng: np.random.Generator) -> list[str]:
    """Words whose share falls with their rank; the commonest would be stop words, so none is."""
    share = 1 / (np.arange(VOCABULARY) + 50)
    words = np.array([letters(n) for n in range(VOCABULARY)])
    places = rng.choice(VOCABULARY, size=(CHUNKS, WORDS), p=share / share.sum())
    return [" ".join(words[row]) for row in places]


def letters(number: int) -> str:
    """A word of its own for each number, which no stemmer shortens."""
    return "".join("bdgklmnprt"[int(digit)] + "ou"[int(digit) % 2] for digit in f"{number:05}")


def store(conn: Connection, knowledge: Knowledge, sources: dict[UUID, UUID]) -> None:
    with conn.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.set_types(["uuid", "uuid", "uuid", "text", "bytea", "text", "int4"])
        for place, (chunk_id, agent) in enumerate(
            zip(knowledge.ids, knowledge.agents, strict=True)
        ):
            agent_id = knowledge.agent_ids[agent]
            embedding = vectors.to_binary(knowledge.vectors[place])
            text = knowledge.texts[place]
            row = (chunk_id, sources[agent_id], agent_id, text, embedding, "m", place)
            copy.write_row(row)


def print_versions(conn: Connection) -> None:
    row = conn.execute(
        "SELECT version(), (SELECT extversion FROM pg_extension WHERE extname = 'vector'),"
        " pg_size_pretty(pg_relation_size('public.knowledge_chunks_embedding_idx')),"
        " pg_size_pretty(pg_total_relation_size('worker.chunk_terms'))"
    ).fetchone()
    assert row is not None
    print(f"{row[0]}\npgvector {row[1]}, index {row[2]}, terms with their indexes {row[3]}")
    print(f"{QUERIES} questions each, {WANTED} chunks wanted, one client")


def print_results(conn: Connection, knowledge: Knowledge, rng: np.random.Generator) -> None:
    """Losses first: the lowest recall on top, then the slowest."""
    groups = {
        f"big agent, {BIG_CHUNKS / CHUNKS:.0%} of the chunks": [0],
        f"tiny agents, {TINY_CHUNKS / CHUNKS:.1%} each": list(range(1, 1 + TINY_AGENTS)),
        "the others, 0.8% each": list(range(1 + TINY_AGENTS, AGENTS)),
    }
    lines = [
        (f"{mode}, {group}, {kind}, {caller}", ask(conn, asked, rng))
        for group, agents in groups.items()
        for kind in (OWN_TOPICS, ANY_TOPIC)
        for caller in CALLERS
        for mode in MODES
        for asked in [Asked(knowledge, agents, kind, caller, mode)]
        if kind == OWN_TOPICS or mode == "vector"
    ]
    for name, found in sorted(lines, key=lambda line: (line[1].recall, -line[1].p50)):
        print(
            f"{'LOSS' if found.recall < RECALL_MIN else 'ok':4}"
            f"  recall@{WANTED} {found.recall:.3f} (worst {min(found.recalls, default=1):.1f},"
            f" {found.short} answers too short)"
            f"  p50 {found.p50:6.2f} ms  p99 {found.p99:6.2f} ms  {name}"
        )


def ask(conn: Connection, asked: Asked, rng: np.random.Generator) -> Found:
    """Ask as one caller; the questions lie near chunks of the agent itself, or of anybody."""
    knowledge = asked.knowledge
    milliseconds, recalls, short = [], [], 0
    with acting_as(conn, *CALLERS[asked.caller]):
        for agent in rng.choice(asked.agents, QUERIES):
            is_own = asked.kind == OWN_TOPICS
            pool = np.flatnonzero(knowledge.agents == agent) if is_own else np.arange(CHUNKS)
            place = rng.choice(pool)
            question = near(knowledge.vectors[place], rng)
            text = " ".join(rng.choice(knowledge.texts[place].split(), QUESTION_WORDS))
            given = (
                knowledge.agent_ids[agent],
                None if asked.mode == "vector" else text,
                None if asked.mode == "text" else vectors.to_text(question),
                WANTED,
            )
            started = time.perf_counter()
            rows = conn.execute(SEARCH, given).fetchall()
            milliseconds.append((time.perf_counter() - started) * 1000)
            if asked.mode == "vector":
                truth = exact(knowledge, int(agent), question)
                recalls.append(len(truth & {row[0] for row in rows}) / WANTED)
                short += len(rows) < WANTED
    return Found(milliseconds, recalls, short)


def near(vector: Matrix, rng: np.random.Generator) -> Matrix:
    noise = unit(rng.normal(size=(1, DIMENSIONS)))[0]
    asked: Matrix = unit((vector + 0.3 * noise)[None])[0]
    return asked


def exact(knowledge: Knowledge, agent: int, question: Matrix) -> set[UUID]:
    rows = np.flatnonzero(knowledge.agents == agent)
    best = np.argsort(-(knowledge.vectors[rows] @ question))[:WANTED]
    return {knowledge.ids[place] for place in rows[best]}


def unit(rows: NDArray[np.float64]) -> Matrix:
    scaled: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return scaled


@contextmanager
def timed(what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    print(f"{what} in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
