"""The story of a search: find the agent, embed the question, rank; for the CLI and for /v1."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from db import search, sources
from db.pool import Connection
from db.search import Asked, Neighbour, Passage
from db.vectors import Vector
from pipelines.errors import JobError

if TYPE_CHECKING:
    from pipelines.gateways.embedder import Embedder

Mode = Literal["hybrid", "vector", "text"]
Borrow = Callable[[], AbstractContextManager[Connection]]

LIMIT_MAX = 100
NEIGHBOURS_MAX = 10
QUESTION_CHARS_MAX = 10_000

log = logging.getLogger(__name__)


class UnknownAgentError(LookupError):
    """There is no such agent."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of an agent's knowledge. `filter` must be contained in a chunk's metadata."""

    agent_id: UUID
    text: str
    mode: Mode = "hybrid"
    limit: int = 5
    threshold: float = 0.0
    source_ids: tuple[UUID, ...] | None = None
    filter: dict[str, Any] | None = None
    neighbours: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """`mode` is what served: "text" too where both were asked for and nothing could embed."""

    passages: Sequence[Passage]
    neighbours: Mapping[UUID, Sequence[Neighbour]] = field(default_factory=dict)
    mode: Mode = "hybrid"


def answer(
    borrow: Borrow, embedder_for: Callable[[str | None], "Embedder"], question: Question
) -> Answer:
    """Raises UnknownAgentError; in mode "vector" also what the embedder raises."""
    with borrow() as conn:
        agent = sources.find_agent(conn, question.agent_id)
    if agent is None:
        raise UnknownAgentError(f"there is no agent {question.agent_id}")
    vector = None
    if question.mode != "text":
        vector = try_to_embed(borrow, lambda: embedder_for(agent.embedding_model), question)
    with borrow() as conn:
        passages = search.search(conn, asked_of(question, vector))
        neighbours = {}
        if question.neighbours:
            ids = [passage.chunk_id for passage in passages]
            neighbours = search.list_neighbours(conn, ids, count=question.neighbours)
    return Answer(passages, neighbours, question.mode if vector is not None else "text")


def try_to_embed(
    borrow: Borrow, embedder: Callable[[], "Embedder"], question: Question
) -> Vector | None:
    """None where words alone must do: a visitor's question is not worth a wait."""
    try:
        return embed(borrow, embedder(), question)
    except JobError as error:
        if question.mode == "vector":
            raise
        log.warning("searched by words alone: %s", error)
        return None


def embed(borrow: Borrow, embedder: "Embedder", question: Question) -> Vector:
    """The question's vector, of the agent's own model; what it cost goes to the owner's usage."""
    from pipelines.gateways.embedder import price_usd

    embedded = embedder.embed([question.text])
    cost = price_usd(embedder.model, embedded.tokens)
    if cost:
        with borrow() as conn:
            search.log_question(
                conn,
                question.agent_id,
                model=embedder.model,
                tokens=embedded.tokens,
                cost=cost,
            )
    vector: Vector = embedded.vectors[0]
    return vector


def asked_of(question: Question, vector: Vector | None) -> Asked:
    by_words = question.mode != "vector"
    return Asked(
        agent_id=question.agent_id,
        text=question.text if by_words else None,
        vector=vector,
        limit=question.limit,
        threshold=question.threshold,
        source_ids=question.source_ids,
        filter=question.filter,
    )


def explain(passage: Passage) -> dict[str, Any]:
    """Why the passage came, for a reader of JSON."""
    return {
        "vector_rank": passage.vector_rank,
        "similarity": passage.similarity,
        "lexical_rank": passage.lexical_rank,
        "lexical_score": passage.lexical_score,
        "matched_words": passage.matched_words,
    }


def as_result(passage: Passage) -> dict[str, Any]:
    """The passage as `avivro search --json` and /v1/search print it."""
    return {
        "source_id": passage.source_id,
        "chunk_id": passage.chunk_id,
        "content": passage.content,
        "heading_path": heading_path(passage.metadata),
        "score": passage.score,
        "why": explain(passage),
    }


def heading_path(metadata: object) -> list[str]:
    """The headings above a chunk; none where somebody else's metadata says something else."""
    path = metadata.get("heading_path") if isinstance(metadata, dict) else None
    return [str(heading) for heading in path] if isinstance(path, list) else []


def as_neighbour(neighbour: Neighbour) -> dict[str, Any]:
    return {
        "chunk_id": neighbour.chunk_id,
        "content": neighbour.content,
        "heading_path": heading_path(neighbour.metadata),
        "distance": neighbour.distance,
    }


def as_results(answered: Answer) -> list[dict[str, Any]]:
    """Each passage with its neighbours, in the source's order."""
    return [
        as_result(passage)
        | {"neighbours": [*map(as_neighbour, answered.neighbours.get(passage.chunk_id, ()))]}
        for passage in answered.passages
    ]
