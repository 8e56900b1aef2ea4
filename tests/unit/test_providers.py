"""What is counted of calls to model providers."""

from collections.abc import Sequence
from contextlib import suppress

import pytest

from pipelines.errors import Permanent, Transient
from pipelines.gateways.chat import Completion, Ending, Question
from pipelines.gateways.embedder import NOTHING, BatchLimits, Embedded
from pipelines.gateways.gate import NO_CLAIMS, OPEN_GATE, Claims, Gate
from workers import metrics, providers
from workers.metrics import Tally
from workers.providers import OTHER, WatchedChat, WatchedEmbedder, model_label


class Embedder:
    model = "text-embedding-ada-002"
    limits = BatchLimits(8, 8, 8)
    gate: Gate = OPEN_GATE
    claims: Claims = NO_CLAIMS

    def __init__(self, *, tokens: int = 0, error: Exception | None = None) -> None:
        self.tokens = tokens
        self.error = error

    def embed(self, texts: Sequence[str]) -> Embedded:
        if self.error is not None:
            raise self.error
        return Embedded(NOTHING.vectors, tokens=self.tokens)


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    own = Tally()
    monkeypatch.setattr(metrics, "count", own.count)
    monkeypatch.setattr(metrics, "observe", own.observe)
    return own


def counted(tally: Tally) -> dict[str, float]:
    """Values by the last label, or by the name where all labels are the same."""
    return {
        labels[2][1] if len(labels) == 3 else name: value
        for (name, labels), value in tally.take().items()
        if not name.startswith(metrics.PROVIDER_TIME.name)
    }


def test_a_call_is_timed_whether_it_succeeds_or_fails(tally: Tally) -> None:
    embedders = Embedder(), Embedder(error=Transient("busy"))

    for each in embedders:
        with suppress(Transient):
            WatchedEmbedder(each, provider="openai", label="ada").embed(["a"])

    timed = {
        dict(labels)["provider"]: value
        for (name, labels), value in tally.take().items()
        if name == metrics.PROVIDER_TIME.bucket
    }
    assert timed == {"openai": 2}


def test_a_call_counts_with_the_tokens_that_were_billed(tally: Tally) -> None:
    watched = WatchedEmbedder(Embedder(tokens=512), provider="openai", label="ada")

    watched.embed(["a"])
    watched.embed(["b"])

    assert counted(tally) == {"ok": 2, "avivro_provider_tokens_total": 1024}


@pytest.mark.parametrize(
    ("error", "result"),
    [(Permanent("no"), "permanent"), (Transient("busy"), "transient"), (ValueError(), "error")],
)
def test_a_failed_call_counts_by_how_it_failed(tally: Tally, error: Exception, result: str) -> None:
    watched = WatchedEmbedder(Embedder(error=error), provider="openai", label="ada")

    with pytest.raises(type(error)):
        watched.embed(["a"])

    assert counted(tally) == {result: 1}


def test_an_embedder_that_is_watched_is_still_the_same_to_its_users() -> None:
    inner = Embedder()

    watched = WatchedEmbedder(inner, provider="openai", label="ada")

    assert (watched.model, watched.limits) == (inner.model, inner.limits)


def test_a_model_that_only_an_owner_named_makes_no_series() -> None:
    known = ["text-embedding-ada-002"]

    assert model_label("text-embedding-ada-002", known=known) == "text-embedding-ada-002"
    assert model_label("model-4711", known=known) == OTHER
    assert providers.OTHER == "other"


class Chat:
    model = "openai/gpt-4o-mini"

    def __init__(self, ending: Ending = "whole", *, error: Exception | None = None) -> None:
        self.ending = ending
        self.error = error

    def complete(self, question: Question) -> Completion:
        if self.error is not None:
            raise self.error
        return Completion("{}", self.ending, prompt_tokens=90, completion_tokens=10)


QUESTION = Question("", "", "", {}, tokens_max=1)


@pytest.mark.parametrize(("ending", "result"), [("whole", "ok"), ("refused", "refused")])
def test_an_answer_of_a_chat_model_counts_with_its_tokens(
    tally: Tally, ending: Ending, result: str
) -> None:
    WatchedChat(Chat(ending), provider="openrouter").complete(QUESTION)

    assert counted(tally) == {result: 1, "avivro_provider_tokens_total": 100}


def test_a_failed_call_of_a_chat_model_counts_without(tally: Tally) -> None:
    watched = WatchedChat(Chat(error=Transient("busy")), provider="openrouter")

    with pytest.raises(Transient):
        watched.complete(QUESTION)

    assert counted(tally) == {"transient": 1}
