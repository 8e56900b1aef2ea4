"""How well search finds what answers: by vector, by words, by both, and for sizes of chunks.

The texts are not part of the project: RETRIEVAL_DATA names a folder with `cranfield/` (documents
and queries with human relevance, 1 best to 4) and `passages/` (corpora, and questions with the
spans that answer them), so: `RETRIEVAL_DATA=... make bench ARGS=retrieval`. Everything is stored
in and asked of a real Postgres through `search_knowledge`, embedded by the local model. The peer
on the same chunks is bm25s with Snowball stems.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import numpy as np
from psycopg.types.json import Jsonb

from db import demo, vectors
from db.embedded import serve
from db.migrate import migrate
from db.pool import Connection, connect
from pipelines.gateways.local_embedder import LOCAL_MODEL, LocalEmbedder
from pipelines.knowledge.document import Block, Document
from pipelines.knowledge.split import split
from pipelines.knowledge.split_context import embedding_text
from pipelines.knowledge.tokens import encoding_for

CORPORA = ("pubmed", "state_of_the_union", "wikitexts")
BUDGET_TOKENS = 2_560
SIZES = (128, 200, 256, 512)
RANKED = 10
CANDIDATES = 100
EMBED_INPUTS = 500
HEADING = re.compile(r" ?((?:= )+)(.*?)((?: =)+) ?")
MODES = ("vector", "text", "hybrid")
COPY = (
    "COPY public.knowledge_chunks (source_id, agent_id, content, embedding, chunk_index, metadata,"
    " embedding_model) FROM STDIN (FORMAT binary)"
)
TYPES = ("uuid", "uuid", "text", "bytea", "int4", "jsonb", "text")
SEARCH = (
    "SELECT metadata FROM public.search_knowledge(%s, %s, %s::extensions.vector, %s, -1,"
    " lexical_weight => %s, rrf_k => %s)"
)


@dataclass(frozen=True)
class Setting:
    """How documents become chunks. `context`: title and headings are embedded and searched too."""

    tokens_max: int
    overlap: int = 0
    context: bool = True

    def __str__(self) -> str:
        above = "title + headings" if self.context else "chunk alone"
        return f"{self.tokens_max:3} tokens, overlap {self.overlap:3}, {above}"


@dataclass(frozen=True)
class Fusion:
    """None: the function's own default."""

    lexical_weight: float | None = None
    rrf_k: float = 60


@dataclass(frozen=True)
class Shelf:
    """Stored chunks of one agent; `texts` and `metadata` in the same order."""

    conn: Connection
    agent_id: UUID
    texts: list[str]
    metadata: list[dict[str, Any]]

    def ask(self, question: str, mode: str, fusion: Fusion = Fusion()) -> list[dict[str, Any]]:
        text = None if mode == "vector" else question
        vector = None if mode == "text" else vectors.to_text(embed((question,))[0])
        given = (self.agent_id, text, vector, CANDIDATES, fusion.lexical_weight, fusion.rrf_k)
        return [row[0] for row in self.conn.execute(SEARCH, given)]


@dataclass(frozen=True)
class Line:
    """One line of the report; `better` figures first in `figures`."""

    name: str
    figures: tuple[float, ...]

    def show(self, least: float) -> str:
        told = "  ".join(f"{figure:.3f}" for figure in self.figures)
        return f"{'LOSS' if self.figures[0] < least else 'ok':4}  {told}  {self.name}"


def main() -> None:
    folder = os.environ.get("RETRIEVAL_DATA")
    if not folder:
        print("RETRIEVAL_DATA is not set: there is nothing to search in")
        return
    with TemporaryDirectory(prefix="avivro-bench-") as home, serve(Path(home)) as services:
        assert services.database_url is not None
        migrate(services.database_url)
        with connect(services.database_url, autocommit=True) as conn:
            # The ranking is measured, not the index: every comparison is exact.
            conn.execute("DROP INDEX public.knowledge_chunks_embedding_idx")
            report_cranfield(conn, Path(folder) / "cranfield")
            report_passages(conn, Path(folder) / "passages")


def report_cranfield(conn: Connection, folder: Path) -> None:
    documents = list(read_lines(folder / "documents.jsonl"))
    queries = list(read_lines(folder / "queries.jsonl"))
    print(f"{len(documents)} abstracts, {len(queries)} queries: nDCG@10, recall@5")
    for setting in (Setting(tokens, context=c) for tokens in (256, 512) for c in (True, False)):
        shelf = store(conn, cut_all(map(as_document, documents), setting))
        lines = [judge(mode, queries, partial_ask(shelf, mode)) for mode in MODES]
        if setting == Setting(512):
            lines += list(judge_fusions(shelf, queries))
        peer = judge("bm25s", queries, bm25_ask(shelf))
        print_lines(str(setting), lines, peer)


def judge_fusions(shelf: Shelf, queries: Sequence[dict[str, Any]]) -> Iterator[Line]:
    for k in (20, 60, 100):
        for weight in (1, 1.5, 2, 3):
            ask = partial_ask(shelf, "hybrid", Fusion(weight, k))
            yield judge(f"hybrid, k {k}, words weigh {weight}", queries, ask)


Ask = Callable[[str], list[dict[str, Any]]]


def partial_ask(shelf: Shelf, mode: str, fusion: Fusion = Fusion()) -> Ask:
    return lambda question: shelf.ask(question, mode, fusion)


def judge(name: str, queries: Sequence[dict[str, Any]], ask: Ask) -> Line:
    gains, recalls = [], []
    for query in queries:
        grades = {int(n): 5 - grade for n, grade in query["relevance"].items() if 0 < grade < 5}
        found = list(dict.fromkeys(each["document"] for each in ask(query["text"])))
        ideal = discounted(sorted(grades.values(), reverse=True))
        gains.append(discounted([grades.get(n, 0) for n in found]) / ideal if ideal else 0)
        recalls.append(len(grades.keys() & set(found[:5])) / max(len(grades), 1))
    return Line(name, (mean(gains), mean(recalls)))


def discounted(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(place + 2) for place, grade in enumerate(grades[:RANKED]))


def report_passages(conn: Connection, folder: Path) -> None:
    questions = list(read_lines(folder / "questions.jsonl"))
    documents = {name: read_corpus(folder / f"{name}.md") for name in CORPORA}
    print(f"\n{len(questions)} questions: share of the answering spans within {BUDGET_TOKENS:,}")
    print("tokens, over all and by corpus: " + ", ".join(CORPORA))
    settings = [Setting(tokens, context=c) for tokens in SIZES for c in (True, False)]
    settings += [Setting(256, overlap) for overlap in (32, 64)]
    for setting in settings:
        shelves = {
            name: store(conn, cut_all([document], setting)) for name, document in documents.items()
        }
        lines = [
            cover(mode, questions, {n: partial_ask(s, mode) for n, s in shelves.items()})
            for mode in MODES
        ]
        if setting == Setting(256):
            lines += list(cover_fusions(shelves, questions))
        peer = cover("bm25s", questions, {n: bm25_ask(s) for n, s in shelves.items()})
        print_lines(str(setting), lines, peer)


def cover_fusions(shelves: dict[str, Shelf], questions: Sequence[dict[str, Any]]) -> Iterator[Line]:
    for k in (20, 60):
        for weight in (1, 2, 3):
            fusion = Fusion(weight, k)
            asks = {name: partial_ask(shelf, "hybrid", fusion) for name, shelf in shelves.items()}
            yield cover(f"hybrid, k {k}, words weigh {weight}", questions, asks)


def cover(name: str, questions: Sequence[dict[str, Any]], asks: dict[str, Ask]) -> Line:
    shares: dict[str, list[float]] = {corpus: [] for corpus in asks}
    for question in questions:
        found = asks[question["corpus"]](question["question"])
        shares[question["corpus"]].append(covered(question["references"], within(found)))
    of_all = [share for of_corpus in shares.values() for share in of_corpus]
    return Line(name, (mean(of_all), *(mean(of_corpus) for of_corpus in shares.values())))


def within(found: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """The spans of the best chunks that the budget has room for."""
    spans, tokens = [], 0
    for each in found:
        tokens += each["tokens"]
        if tokens > BUDGET_TOKENS:
            break
        spans.append((each["start"], each["end"]))
    return spans


def covered(references: Sequence[dict[str, Any]], spans: Sequence[tuple[int, int]]) -> float:
    wanted = [set(range(each["start_index"], each["end_index"])) for each in references]
    had = {place for start, end in spans for place in range(start, end)}
    return sum(len(each & had) for each in wanted) / sum(map(len, wanted))


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def as_document(entry: dict[str, Any]) -> tuple[int, Document]:
    text = entry["text"] if entry["text"].strip() else entry["title"] or "-"
    block = Block("paragraph", 0, len(text))
    return entry["id"], Document(text, (block,), title=entry["title"] or None)


def read_corpus(path: Path) -> tuple[int, Document]:
    """The text as it is, so that spans hold; WikiText's headings are ` = Title = `."""
    text = path.read_bytes().decode()
    blocks: list[Block] = []
    above: tuple[str, ...] = ()
    for line in re.finditer(r"[^\n]*\S[^\n]*", text):
        heading = HEADING.fullmatch(line.group())
        if heading:
            level = len(heading[1]) // 2
            above = (*above[: level - 1], heading[2].strip())
            blocks.append(Block("heading", line.start(), line.end(), above, min(level, 6)))
        else:
            blocks.append(Block("paragraph", line.start(), line.end(), above))
    return 0, Document(text, tuple(blocks))


Piece = tuple[str, str, dict[str, Any]]


def cut_all(documents: Iterable[tuple[int, Document]], setting: Setting) -> list[Piece]:
    """(content, what is embedded, metadata) of every chunk."""
    encoding = encoding_for(LOCAL_MODEL)
    pieces = []
    for number, document in documents:
        chunks = split(
            document,
            encoding=encoding,
            tokens_max=setting.tokens_max,
            tokens_overlap=setting.overlap,
        )
        for chunk in chunks:
            place = {"start": chunk.start, "end": chunk.end, "tokens": chunk.tokens}
            metadata: dict[str, Any] = {"document": number, **place}
            if setting.context:
                metadata |= {"heading_path": chunk.heading_path, "title": document.title}
            embedded = embedding_text(chunk, document) if setting.context else chunk.text
            pieces.append((chunk.text, embedded, metadata))
    return pieces


def store(conn: Connection, pieces: Sequence[Piece]) -> Shelf:
    user_id = demo.ensure_user(conn, email="bench@example.com", full_name="Bench")
    agent_id = demo.create_agent(
        conn, user_id=user_id, name="Bench", description="", system_prompt=""
    )
    conn.execute(
        "UPDATE public.agents SET embedding_model = %s WHERE id = %s", (LOCAL_MODEL, agent_id)
    )
    row = conn.execute(
        "INSERT INTO public.knowledge_sources (agent_id, name, type, content)"
        " VALUES (%s, 'Bench', 'text', 'x') RETURNING id",
        (agent_id,),
    ).fetchone()
    assert row is not None
    embedded = embed(tuple(piece[1] for piece in pieces))
    with conn.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.set_types(TYPES)
        for place, (text, _, metadata) in enumerate(pieces):
            values = vectors.to_binary(embedded[place])
            copy.write_row((row[0], agent_id, text, values, place, Jsonb(metadata), LOCAL_MODEL))
    conn.execute("VACUUM ANALYZE worker.chunk_terms")
    return Shelf(conn, agent_id, [p[1] for p in pieces], [p[2] for p in pieces])


@cache
def local() -> LocalEmbedder:
    return LocalEmbedder()


@cache
def embed(texts: tuple[str, ...]) -> vectors.Vector:
    starts = range(0, len(texts), EMBED_INPUTS)
    parts = [local().embed(texts[start : start + EMBED_INPUTS]).vectors for start in starts]
    return np.concatenate(parts)


def bm25_ask(shelf: Shelf) -> Ask:
    """The same chunks, with what stands above them, ranked by bm25s (Lucene's form, stems)."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")

    def read(texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(read(shelf.texts), show_progress=False)
    count = min(CANDIDATES, len(shelf.texts))

    def ask(question: str) -> list[dict[str, Any]]:
        found, _ = index.retrieve(read([question]), k=count, show_progress=False)
        return [shelf.metadata[place] for place in found[0]]

    return ask


def print_lines(title: str, lines: Sequence[Line], peer: Line) -> None:
    """Losses against the peer first, then the rest, best last."""
    print(f"\n{title}")
    for line in sorted(lines, key=lambda line: line.figures):
        print("  " + line.show(peer.figures[0]))
    print("  peer  " + "  ".join(f"{figure:.3f}" for figure in peer.figures) + f"  {peer.name}")
