"""`avivro search`: the passages that answer a question, and why each of them came."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import psycopg
import typer
from rich.markup import escape
from rich.text import Text

from db.pool import Connection, connect
from db.search import Neighbour, Passage
from pipelines.errors import JobError
from workers.answering import (
    LIMIT_MAX,
    NEIGHBOURS_MAX,
    QUESTION_CHARS_MAX,
    Answer,
    Borrow,
    Mode,
    Question,
    UnknownAgentError,
    answer,
    as_result,
    as_results,
    heading_path,
)
from workers.cli import console
from workers.cli.excerpt import excerpt
from workers.cli.services import services
from workers.config import Config
from workers.tools import embedder_for

MATCH_STYLE = "bold yellow"
STEM_CHARS_MIN = 4
# From Thai on, scripts may put no space between words.
FIRST_UNSPACED = "\u0e00"


def register(app: typer.Typer) -> None:
    app.command("search")(search)


def search(
    agent: Annotated[UUID, typer.Argument(help="The agent's id.")],
    question: str,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX)] = 5,
    mode: Annotated[Mode, typer.Option(help="Words and vectors, or one alone.")] = "hybrid",
    source: Annotated[list[UUID] | None, typer.Option(help="Only this source; repeatable.")] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", help="JSON that a chunk's metadata must contain.")
    ] = None,
    neighbours: Annotated[
        int, typer.Option(min=0, max=NEIGHBOURS_MAX, help="Chunks around each, both sides.")
    ] = 0,
    threshold: Annotated[float, typer.Option(min=-1, max=1, help="Least similarity.")] = 0.0,
    as_json: console.JsonOption = False,
) -> None:
    """Find the passages of an agent's knowledge that answer a question, best first."""
    asked = Question(
        agent_id=agent,
        text=checked(question),
        mode=mode,
        limit=limit,
        threshold=threshold,
        source_ids=tuple(source) if source else None,
        filter=read_filter(filter_),
        neighbours=neighbours,
    )
    with services(redis=False) as found:
        assert found.database_url is not None
        with connect(found.database_url, name="avivro search") as conn:
            if as_json:
                answered = ask(conn, found, asked)
                alone = [as_result(passage) for passage in answered.passages]
                console.print_json(as_results(answered) if neighbours else alone)
            else:
                print_answer(conn, found, asked)


def checked(question: str) -> str:
    if not question.strip():
        console.fail("the question is empty", code=2)
    if len(question) > QUESTION_CHARS_MAX:
        console.fail(f"the question is over {QUESTION_CHARS_MAX:,} characters", code=2)
    return question.encode("utf-8", "replace").decode()


def read_filter(given: str | None) -> dict[str, Any] | None:
    if given is None:
        return None
    try:
        value = json.loads(given)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        console.fail(
            f'--filter must be a JSON object, for example {{"kinds": ["table"]}}: {given}', code=2
        )
    return value


def print_answer(conn: Connection, found: Config, asked: Question) -> None:
    answered = ask(conn, found, asked)
    if answered.mode != asked.mode:
        console.err.print("searched by words alone: the question could not be embedded")
    if not answered.passages:
        console.err.print("nothing found: has the agent any completed knowledge source?")
    for rank, passage in enumerate(answered.passages, 1):
        print_passage(rank, passage, answered.neighbours.get(passage.chunk_id, ()), asked)


def ask(conn: Connection, found: Config, asked: Question) -> Answer:
    try:
        return answer(borrower(conn), partial(embedder_for, found), asked)
    except (UnknownAgentError, JobError) as error:
        console.fail(str(error), code=1)
    except psycopg.DataError as error:
        console.fail(f"the question or the filter cannot be used: {error}", code=2)


def borrower(conn: Connection) -> Borrow:
    """The command's one connection, each time for one transaction."""

    @contextmanager
    def borrow() -> Iterator[Connection]:
        with conn.transaction():
            yield conn

    return borrow


def print_passage(
    rank: int, passage: Passage, neighbours: Sequence[Neighbour], asked: Question
) -> None:
    path = " > ".join(heading_path(passage.metadata))
    console.out.print(
        f"[bold]{rank}. {passage.score:.4g}[/]  [cyan]{escape(passage.source_name)}[/]  "
        f"[dim]{escape(path)}[/]",
        highlight=False,
    )
    console.out.print(Text(why(passage), style="dim"))
    for neighbour in neighbours:
        if neighbour.distance < 0:
            console.out.print(Text(neighbour.content.strip(), style="dim"))
    shown = excerpt(passage.content, " ".join(passage.matched_words) or asked.text)
    console.out.print(mark(shown, passage.matched_words))
    for neighbour in neighbours:
        if neighbour.distance > 0:
            console.out.print(Text(neighbour.content.strip(), style="dim"))
    console.out.print()


def why(passage: Passage) -> str:
    """One line: the place in each list, and the words that were met."""
    parts = []
    if passage.similarity is not None:
        place = f"#{passage.vector_rank}" if passage.vector_rank else "not among the nearest"
        parts.append(f"meaning {place}, similarity {passage.similarity:.3f}")
    if passage.lexical_rank is not None and passage.lexical_score is not None:
        words = ", ".join(passage.matched_words)
        parts.append(f"words #{passage.lexical_rank}, score {passage.lexical_score:.2f}: {words}")
    return "; ".join(parts)


def mark(shown: str, words: Sequence[str]) -> Text:
    """The text with the words that were met in bold, their other endings too."""
    text = Text(shown)
    patterns = [pattern(word) for word in sorted(words, key=len, reverse=True) if word]
    if patterns:
        text.highlight_regex(rf"(?i)(?:{'|'.join(patterns)})", MATCH_STYLE)
    return text


def pattern(word: str) -> str:
    """About what the database takes for the same word; it knows better, but does not say where."""
    if max(word) >= FIRST_UNSPACED:
        return re.escape(word)
    stem = re.escape(word[: max(STEM_CHARS_MIN, len(word) - 3)])
    ending = r"\w{0,4}" if len(word) >= STEM_CHARS_MIN else ""
    return rf"(?<![^\W_]){stem}{ending}(?!\w)"
