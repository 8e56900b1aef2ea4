"""The story of `analyze_sentiment`: score what visitors wrote to an agent, then its conversations.

A turn reads the oldest marks of the agent and what is unscored in their conversations, asks the
judge with no transaction open, and stores everything in one. A mark goes with the transaction
that leaves nothing of its conversation unscored, so whatever was not stored is found again.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any
from uuid import UUID

from db import sentiment
from db.fence import Fence
from db.pool import Connection
from db.sentiment import Agent, Billed, ConversationScore, Mark, MessageScore, Scored, Unscored
from pipelines.errors import JobError, Permanent, Snooze, Transient
from pipelines.sentiment.conversation import judge_conversation, label_of
from pipelines.sentiment.judgement import EMOTIONS, TEXT_CHARS_MAX, Judgement, cut
from pipelines.sentiment.verdict import LOCAL, Call, Judged, SentimentJudge, Verdict

BATCH_MESSAGES = 50
BATCH_MARKS = 200
# Of earlier ones a conversation's score would not show a thing.
CONVERSATION_MESSAGES_MAX = 200
# The next job of the agent goes on; others have their turn in between.
MESSAGES_MAX = 5_000
DURATION_S_MAX = 120.0
# Scores are for people who look at a conversation now.
PATIENCE_S = 60.0
# A message that another transaction holds is mostly free again in a moment.
HELD_POLL_S = 0.2
HELD_S_MAX = 5.0
HELD_SNOOZE_S = 30.0

log = logging.getLogger(__name__)


# A message and what it said.
Key = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class Desk:
    """`local` takes over where `judge` does not answer: it always can, and costs nothing."""

    db: Fence
    judge: SentimentJudge
    local: SentimentJudge
    is_last_try: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn did. `marks` were served, handed on, or of an agent that wants no scores.

    `unstored` are judgements that are paid for and could not be stored yet. `asked_s` is how long
    the judge took.
    """

    asked: int = 0
    messages: int = 0
    conversations: int = 0
    marks: int = 0
    failure: JobError | None = None
    asked_s: float = 0.0
    unstored: Mapping[Key, Judged] = field(default_factory=dict)

    @property
    def is_held_up(self) -> bool:
        """Whether there was nothing to do but to wait for those who hold messages."""
        return not (self.asked or self.messages or self.marks or self.failure)


def run(
    desk: Desk,
    *,
    agent_id: UUID,
    messages_max: int = MESSAGES_MAX,
    duration_s_max: float = DURATION_S_MAX,
) -> dict[str, Any]:
    """How many messages and conversations were scored, and whether no mark is left.

    Raises Transient where the provider may answer later and there is another try.
    """
    until = time.monotonic() + duration_s_max
    messages = conversations = 0
    held_since: float | None = None
    last = Turn()
    while turn := take_turn(desk, agent_id, known=last.unstored):
        messages += turn.messages
        conversations += turn.conversations
        desk.db.report({"messages": messages, "conversations": conversations})
        if turn.failure is not None:
            desk = give_way(desk, turn.failure, asked_s=turn.asked_s)
        held_since = wait(held_since) if turn.is_held_up else None
        last = turn
        if messages >= messages_max or time.monotonic() >= until:
            break
    return {"messages": messages, "conversations": conversations, "complete": turn is None}


def wait(held_since: float | None) -> float:
    """A moment; since when. Raises Snooze where that took too long already."""
    now = time.monotonic()
    if held_since is not None and now - held_since >= HELD_S_MAX:
        raise Snooze(HELD_SNOOZE_S)
    time.sleep(HELD_POLL_S)
    return held_since or now


def take_turn(desk: Desk, agent_id: UUID, *, known: Mapping[Key, Judged]) -> Turn | None:
    """Serve the oldest marks; None where there is none. What is `known` is not asked again."""
    with desk.db.read() as conn:
        sentiment.plan_by_index(conn)
        agent = sentiment.load_agent(conn, agent_id)
        marks = sentiment.list_marks(conn, agent_id, rows_max=BATCH_MARKS)
        unscored = list_unscored(conn, agent_id, marks)
    if not marks:
        return None
    if agent is None or not agent.is_enabled:
        return drop_marks(desk.db, agent_id)

    hearing = hear(desk.judge, unscored, known)

    with desk.db.write() as conn:
        return store(conn, Batch(agent_id, agent, marks, unscored, desk.db.job_id), hearing)


def list_unscored(conn: Connection, agent_id: UUID, marks: Sequence[Mark]) -> list[Unscored]:
    return sentiment.list_unscored(
        conn,
        agent_id,
        [*{mark.conversation_id for mark in marks}],
        chars_max=TEXT_CHARS_MAX,
        rows_max=BATCH_MESSAGES,
    )


def drop_marks(db: Fence, agent_id: UUID) -> Turn:
    with db.write() as conn:
        return Turn(marks=sentiment.drop_marks(conn, agent_id, rows_max=BATCH_MARKS))


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is known of messages, by what they said, after `asked` of them were asked about."""

    judged: Mapping[Key, Judged]
    asked: int = 0
    calls: Sequence[Call] = ()
    failure: JobError | None = None
    asked_s: float = 0.0


def hear(
    court: SentimentJudge, messages: Sequence[Unscored], known: Mapping[Key, Judged]
) -> Hearing:
    """Judge the messages. Blank ones say nothing, and known ones are paid for."""
    texts = {key_of(message): cut(message.text) for message in messages}
    judged = {
        key: known.get(key, BLANK)
        for key, text in texts.items()
        if key in known or not text.strip()
    }
    asked = {key: text for key, text in texts.items() if key not in judged}
    if not asked:
        return Hearing(judged)
    began_at = time.monotonic()
    verdict = ask(court, [*asked.values()])
    if verdict.failure is None and len(verdict.judged) != len(asked):
        raise ValueError(f"{len(verdict.judged)} judgements of {len(asked)} messages")
    judged |= dict(zip(asked, verdict.judged, strict=False))
    asked_s = time.monotonic() - began_at
    return Hearing(judged, len(asked), verdict.calls, verdict.failure, asked_s)


def key_of(message: Unscored) -> Key:
    return message.id, message.content_hash


def ask(court: SentimentJudge, texts: Sequence[str]) -> Verdict:
    """The verdict; one without a judgement where the judge could not answer at all."""
    try:
        return court.judge(texts)
    except (Transient, Permanent) as error:
        return Verdict((), failure=error)


BLANK = Judged(
    Judgement(score=0.0, label="neutral", confidence=0.0, emotions=dict.fromkeys(EMOTIONS, 0.0)),
    LOCAL,
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a turn read before it asked."""

    agent_id: UUID
    agent: Agent
    marks: Sequence[Mark]
    unscored: Sequence[Unscored]
    job_id: int


def store(conn: Connection, batch: Batch, hearing: Hearing) -> Turn:
    """Write scores, what they cost, and that their marks are served."""
    sentiment.plan_by_index(conn)
    sentiment.lock_owner(conn, batch.agent_id)
    sentiment.lock_agent(conn, batch.agent_id)
    marked = [*dict.fromkeys(mark.conversation_id for mark in batch.marks)]
    own = sentiment.lock_conversations(conn, batch.agent_id, marked)
    stored = store_messages(conn, batch, hearing.judged, own)
    if hearing.calls:
        calls = [Billed(c.model, c.prompt_tokens, c.completion_tokens) for c in hearing.calls]
        sentiment.log_calls(conn, batch.agent_id, batch.agent.user_id, calls, job_id=batch.job_id)
    settled = sentiment.find_settled(conn, marked)
    score_conversations(conn, batch.agent_id, sorted(own & settled))
    return Turn(
        asked=hearing.asked,
        messages=len(stored),
        conversations=len(own & settled),
        marks=serve_marks(conn, batch, settled),
        failure=hearing.failure,
        asked_s=hearing.asked_s,
        unstored={key: each for key, each in hearing.judged.items() if key[0] not in stored},
    )


def store_messages(
    conn: Connection, batch: Batch, judged: Mapping[Key, Judged], conversation_ids: set[UUID]
) -> set[UUID]:
    """Those that took their score."""
    scores = [
        MessageScore(m.id, m.conversation_id, m.content_hash, **fields_of(judged[key_of(m)]))
        for m in batch.unscored
        if key_of(m) in judged and m.conversation_id in conversation_ids
    ]
    return sentiment.store_scores(conn, batch.agent_id, scores)


def fields_of(judged: Judged) -> dict[str, Any]:
    """The columns of a score. A model's words may hold what Postgres cannot store."""
    judgement = judged.judgement
    return {
        "score": judgement.score,
        "label": judgement.label,
        "confidence": judgement.confidence,
        "emotions": {name: judgement.emotions.get(name, 0.0) for name in EMOTIONS},
        "topics": [cut(topic) for topic in judgement.topics],
        "keywords": [cut(keyword) for keyword in judgement.keywords],
        "judge": judged.judge,
    }


def score_conversations(conn: Connection, agent_id: UUID, conversation_ids: Sequence[UUID]) -> None:
    """Bring conversations to what their messages' scores amount to now."""
    found = sentiment.list_scored(conn, conversation_ids, messages_max=CONVERSATION_MESSAGES_MAX)
    wholes = judge_conversations(found)
    scores = [ConversationScore(id, **fields_of(whole)) for id, whole in wholes.items()]
    sentiment.store_conversations(conn, agent_id, scores)
    sentiment.clear_conversations(conn, [id for id in conversation_ids if id not in wholes])


def judge_conversations(found: Sequence[Scored]) -> Mapping[UUID, Judged]:
    """By conversation, whose messages stand one after the other, oldest first."""
    wholes = {
        id: judge_conversation([as_judged(each) for each in group])
        for id, group in groupby(found, key=lambda each: each.conversation_id)
    }
    return {id: whole for id, whole in wholes.items() if whole is not None}


def as_judged(scored: Scored) -> Judged:
    judgement = Judgement(
        score=scored.score,
        label=scored.label or label_of(scored.score),
        confidence=scored.confidence,
        emotions=scored.emotions,
        topics=tuple(scored.topics),
        keywords=tuple(scored.keywords),
    )
    return Judged(judgement, scored.judge)


def serve_marks(conn: Connection, batch: Batch, settled: set[UUID]) -> int:
    """How many marks are another agent's now, or are served."""
    mark_ids = [mark.id for mark in batch.marks]
    handed_on = sentiment.hand_on_marks(conn, mark_ids)
    return handed_on + sentiment.delete_marks(conn, batch.agent_id, mark_ids, sorted(settled))


def give_way(desk: Desk, failure: JobError, *, asked_s: float) -> Desk:
    """The desk with the local judge. Raises a failure that another try may spare.

    Whose patience is spent by asking, for `asked_s`, is not told to wait for another try.
    """
    if isinstance(failure, Transient) and not desk.is_last_try and is_soon(failure, asked_s):
        raise failure
    log.warning("the local judge takes over: %s", failure)
    return replace(desk, judge=desk.local)


def is_soon(failure: Transient, asked_s: float) -> bool:
    return asked_s + (failure.retry_after_s or 0.0) <= PATIENCE_S
