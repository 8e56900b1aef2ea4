"""Counts the calls of model providers, and traces them, around the gateways that make them."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.errors import Permanent, Transient
from workers import metrics, tracing

if TYPE_CHECKING:
    from pipelines.gateways.chat import Chat, Completion, Question
    from pipelines.gateways.embedder import BatchLimits, Embedded, Embedder
    from pipelines.gateways.gate import Claims, Gate

# What a figure says of a model that neither we nor the configuration know: owners may name any.
OTHER = "other"


class WatchedEmbedder:
    """An embedder whose calls are counted; `label` is its model, from a bounded set."""

    def __init__(self, embedder: "Embedder", *, provider: str, label: str) -> None:
        self.model: str = embedder.model
        self.limits: BatchLimits = embedder.limits
        self.gate: Gate = embedder.gate
        self.claims: Claims = embedder.claims
        self._embedder = embedder
        self._provider = provider
        self._label = label

    def embed(self, texts: Sequence[str]) -> "Embedded":
        result, began_s = "error", time.monotonic()
        try:
            with tracing.step("embed", provider=self._provider, model=self._label):
                embedded = self._embedder.embed(texts)
            result = "ok"
        except (Permanent, Transient) as error:
            result = type(error).__name__.lower()
            raise
        finally:
            note(self._provider, self._label, result, took_s=time.monotonic() - began_s)
        if embedded.tokens:
            metrics.count(metrics.PROVIDER_TOKENS, self._provider, self._label, by=embedded.tokens)
        return embedded


class WatchedChat:
    """A chat model whose calls are counted."""

    def __init__(self, chat: "Chat", *, provider: str) -> None:
        self.model: str = chat.model
        self._chat = chat
        self._provider = provider

    def complete(self, question: "Question") -> "Completion":
        result, began_s = "error", time.monotonic()
        try:
            with tracing.step("chat", provider=self._provider, model=self.model):
                completion = self._chat.complete(question)
            result = "ok" if completion.ending == "whole" else completion.ending
        except (Permanent, Transient) as error:
            result = type(error).__name__.lower()
            raise
        finally:
            note(self._provider, self.model, result, took_s=time.monotonic() - began_s)
        if tokens := completion.prompt_tokens + completion.completion_tokens:
            metrics.count(metrics.PROVIDER_TOKENS, self._provider, self.model, by=tokens)
        return completion


def note(provider: str, model: str, result: str, *, took_s: float) -> None:
    metrics.count(metrics.PROVIDER_CALLS, provider, model, result)
    metrics.observe(metrics.PROVIDER_TIME, took_s, provider, model)


def model_label(model: str, *, known: Sequence[str]) -> str:
    return model if model in known else OTHER
