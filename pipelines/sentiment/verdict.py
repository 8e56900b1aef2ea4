"""What the judges of an installation return for many messages: judgements, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipelines.errors import JobError
from pipelines.sentiment.judgement import Judge, Judgement

LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Judged:
    """`judge` is LOCAL, or the model that judged."""

    judgement: Judgement
    judge: str


@dataclass(frozen=True, slots=True)
class Call:
    """One answer that a provider billed, whether it could be used or not."""

    model: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """`judged` is in the order of the texts: of all of them, unless a `failure` came before the
    end; then of the first ones, which shall be kept, and `calls` were billed nevertheless.
    """

    judged: Sequence[Judged]
    calls: Sequence[Call] = ()
    failure: JobError | None = None


class SentimentJudge(Protocol):
    def judge(self, texts: Sequence[str]) -> Verdict:
        """Judge each text by itself, in order.

        Raises Transient or Permanent where nothing was judged and nothing was billed.
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalOnly:
    """A judge in this process as one that may cost something: it never does, and never fails."""

    judge_here: Judge

    def judge(self, texts: Sequence[str]) -> Verdict:
        judgements = self.judge_here.judge(texts)
        return Verdict([Judged(each, LOCAL) for each in judgements])
