"""/v1/search: passages of an agent's knowledge, and why each came."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import Response

from workers.answering import (
    LIMIT_MAX,
    NEIGHBOURS_MAX,
    QUESTION_CHARS_MAX,
    Borrow,
    Mode,
    Question,
    answer,
    as_results,
)
from workers.dashboard.api import Handler, answer_json
from workers.dashboard.asking import Fields

if TYPE_CHECKING:
    from pipelines.gateways.embedder import Embedder

KNOWN = frozenset(
    ("agent_id", "query", "limit", "mode", "source_ids", "filter", "neighbours", "threshold")
)
MODES = ("hybrid", "vector", "text")
SOURCES_MAX = 1_000


def handler(borrow: Borrow, embedder_for: Callable[[str | None], "Embedder"]) -> Handler:
    return partial(search, borrow, embedder_for)


def search(
    borrow: Borrow, embedder_for: Callable[[str | None], "Embedder"], body: dict[str, Any]
) -> Response:
    """The header says the mode that served: "text" where nothing could embed the question."""
    answered = answer(borrow, embedder_for, read(body))
    return answer_json(as_results(answered), **{"X-Search-Mode": answered.mode})


def read(body: dict[str, Any]) -> Question:
    """Raises Refused, naming the field."""
    fields = Fields(body, status=422)
    fields.allow_only(KNOWN)
    return Question(
        agent_id=fields.id("agent_id"),
        text=fields.text("query", chars_max=QUESTION_CHARS_MAX),
        mode=cast(Mode, fields.choice("mode", MODES)),
        limit=fields.whole("limit", default=5, low=1, high=LIMIT_MAX),
        threshold=fields.number("threshold", default=0.0, low=-1, high=1),
        source_ids=fields.ids("source_ids", count_max=SOURCES_MAX),
        filter=fields.mapping("filter"),
        neighbours=fields.whole("neighbours", default=0, low=0, high=NEIGHBOURS_MAX),
    )
