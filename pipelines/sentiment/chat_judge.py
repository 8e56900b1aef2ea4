"""Judges many messages with one call of a chat model, and believes no more of it than it must.

A message may be written for the model: to change what it says of others. So a message that looks
like it shares no call; every shared call holds messages whose sentiment is known; and what the
local judge is sure to be otherwise is asked again, alone. Who is asked alone can harm nobody else.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random, SystemRandom
from typing import Literal

from pipelines.errors import JobError, Permanent, Transient
from pipelines.gateways.chat import Chat, Completion
from pipelines.gateways.chat_failures import ContentRefused
from pipelines.sentiment.chat_answer import read_answers
from pipelines.sentiment.chat_controls import gather
from pipelines.sentiment.chat_guard import may_instruct
from pipelines.sentiment.chat_prompt import ask_about
from pipelines.sentiment.chat_trust import SUSPECTS_MAX, contradicts, find_suspects
from pipelines.sentiment.judgement import Judge, Judgement, cut
from pipelines.sentiment.verdict import LOCAL, Call, Judged, Verdict

BATCH_TEXTS_MAX = 25
BATCH_CHARS_MAX = 20_000
# So few that lack an answer are asked alone: that takes no controls.
ALONE_MAX = 3
# From then on nobody is asked a second time.
AGAIN_S_MAX = 120.0

log = logging.getLogger(__name__)

# "lacking": no answer, or without those that show whether it is true. "bent": it is not.
State = Literal["sound", "lacking", "bent", "refused"]


@dataclass(frozen=True, slots=True)
class Asked:
    state: State
    answers: Mapping[str, Judgement]


class ChatJudge:
    """A SentimentJudge: a chat model, and the local judge for all that it does not answer.

    n messages of a batch take n + 2 calls at most.
    """

    def __init__(self, chat: Chat, local: Judge, *, random: Random | None = None) -> None:
        self._chat = chat
        self._local = local
        self._random = random or SystemRandom()

    def judge(self, texts: Sequence[str]) -> Verdict:
        sent = [cut(text) for text in texts]
        distinct = list(dict.fromkeys(sent))
        here = dict(zip(distinct, self._local.judge(distinct), strict=True))
        session = _Session(self._chat, self._random, here)
        failure = session.judge(distinct)
        return _put_together(sent, session, failure)


def _put_together(sent: Sequence[str], session: "_Session", failure: JobError | None) -> Verdict:
    if failure is None:
        return Verdict([session.judged[text] for text in sent], session.calls)
    first_left = next(place for place, text in enumerate(sent) if text not in session.judged)
    if not first_left and not session.calls:
        raise failure
    return Verdict(
        [session.judged[text] for text in sent[:first_left]], session.calls, failure=failure
    )


class _Session:
    """The calls about some texts; `here` holds what the local judge says of each."""

    def __init__(self, chat: Chat, random: Random, here: Mapping[str, Judgement]) -> None:
        self.judged: dict[str, Judged] = {}
        self.calls: list[Call] = []
        self._chat = chat
        self._random = random
        self._here = here
        self._asked_alone: set[str] = set()
        self._began_at = time.monotonic()

    def judge(self, texts: Sequence[str]) -> JobError | None:
        """Returns what stopped it before every text was judged."""
        self._leave([text for text in texts if not text.strip() or may_instruct(text)])
        for batch in pack([text for text in texts if text not in self.judged]):
            try:
                self._judge_batch(batch)
            except (Permanent, Transient) as failure:
                return failure
            self._leave(batch)
        return None

    def _judge_batch(self, texts: Sequence[str]) -> None:
        """Raises where the first call fails; a later one leaves what it was about unjudged."""
        missing = self._settle(texts, self._ask(texts))
        if len(missing) <= ALONE_MAX:
            self._ask_each(missing)
        elif self._has_time():
            with suppress(JobError):
                self._settle(missing, self._ask(missing))

    def _settle(self, texts: Sequence[str], asked: Asked) -> Sequence[str]:
        """Keep what can be believed; returns the texts that there was no answer to."""
        state = asked.state
        if len(texts) > 1 and state == "sound" and not self._confirm(asked.answers):
            state = "bent"
        match state:
            case "lacking":
                return texts
            case "sound":
                self._keep(asked.answers)
                return [text for text in texts if text not in asked.answers]
            case _ if len(texts) > 1:
                log.warning("a chat model's answer on %d messages is %s", len(texts), state)
                self._ask_each([text for text in texts if text not in self.judged])
        return []

    def _confirm(self, answers: Mapping[str, Judgement]) -> bool:
        """Ask again, alone, what the local judge doubts; False if others had a say in an answer."""
        suspects = find_suspects(answers, self._here)[:SUSPECTS_MAX]
        self._ask_each(suspects)
        self._leave(suspects)
        return not any(
            contradicts(self.judged[text].judgement, answers[text])
            for text in suspects
            if self.judged[text].judge != LOCAL
        )

    def _ask_each(self, texts: Sequence[str]) -> None:
        """What a provider in trouble has not answered by then is left."""
        with suppress(Permanent, Transient):
            for text in filter(self._has_time_for, texts):
                self._asked_alone.add(text)
                self._keep(self._ask([text]).answers)

    def _has_time_for(self, text: str) -> bool:
        return text not in self._asked_alone and self._has_time()

    def _has_time(self) -> bool:
        return time.monotonic() - self._began_at < AGAIN_S_MAX

    def _ask(self, texts: Sequence[str]) -> Asked:
        company = gather(texts, self._random)
        try:
            completion = self._chat.complete(ask_about(company.texts))
        except ContentRefused as refused:
            log.info("a chat model refused %d messages: %s", len(texts), refused)
            return Asked("refused", {})
        self._note(completion)
        if completion.ending == "refused":
            return Asked("refused", {})
        answers = read_answers(completion.text, company.texts)
        own = {
            company.texts[each]: answer
            for each, answer in answers.items()
            if each not in company.controls
        }
        if company.finds_wrong(answers):
            return Asked("bent", own)
        return Asked("sound" if company.is_shown(answers) else "lacking", own)

    def _note(self, completion: Completion) -> None:
        self.calls.append(
            Call(self._chat.model, completion.prompt_tokens, completion.completion_tokens)
        )

    def _keep(self, answers: Mapping[str, Judgement]) -> None:
        for text, answer in answers.items():
            if text not in self.judged:
                self.judged[text] = Judged(_complete(answer, self._here[text]), self._chat.model)

    def _leave(self, texts: Sequence[str]) -> None:
        """To the local judge."""
        for text in texts:
            if text not in self.judged:
                self.judged[text] = Judged(self._here[text], LOCAL)


def _complete(answer: Judgement, here: Judgement) -> Judgement:
    return replace(
        answer,
        topics=answer.topics or here.topics,
        keywords=answer.keywords or here.keywords,
        language=here.language,
    )


def pack(texts: Sequence[str]) -> Iterator[list[str]]:
    """In order, as many to a batch as its limits allow, and at least one."""
    batch: list[str] = []
    for text in texts:
        is_full = len(batch) == BATCH_TEXTS_MAX
        if batch and (is_full or sum(map(len, batch)) + len(text) > BATCH_CHARS_MAX):
            yield batch
            batch = []
        batch.append(text)
    if batch:
        yield batch
