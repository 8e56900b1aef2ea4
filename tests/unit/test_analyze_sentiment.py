"""What is asked of a judge, and who takes over where it does not answer."""

import time
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from db.fence import Fence
from db.sentiment import Scored, Unscored
from pipelines.analyze_sentiment import (
    BLANK,
    PATIENCE_S,
    Desk,
    fields_of,
    give_way,
    hear,
    judge_conversations,
    key_of,
)
from pipelines.errors import JobError, Misconfigured, Permanent, Transient
from pipelines.sentiment.judgement import EMOTIONS, TEXT_CHARS_MAX, Judgement
from pipelines.sentiment.verdict import Judged, Verdict
from tests.scoring import WordJudge, judged

CONVERSATION = UUID("8c3f6a52-6f0e-4f0d-9f3e-0d6a1f1f9a11")


def message(text: str) -> Unscored:
    return Unscored(uuid4(), CONVERSATION, content_hash=text[:5], text=text)


def scored(conversation_id: UUID, score: float, **fields: Any) -> Scored:
    values: dict[str, Any] = {
        "label": None, "confidence": 1.0, "emotions": {}, "topics": [], "keywords": [],
        "judge": "",
    }  # fmt: skip
    return Scored(conversation_id, score, **values | fields)


def desk(*, is_last_try: bool = False) -> Desk:
    fence = cast(Fence, None)
    return Desk(fence, WordJudge("acme"), WordJudge("local"), is_last_try=is_last_try)


def test_blank_texts_are_not_asked_about() -> None:
    judge = WordJudge()
    blank, bad = message(" \u3000\n"), message("bad")

    hearing = hear(judge, [blank, bad], {})

    assert judge.texts == ["bad"]
    assert (hearing.judged[key_of(blank)], hearing.asked) == (BLANK, 1)
    assert hearing.judged[key_of(bad)].judgement.label == "negative"


def test_without_a_word_no_judge_is_asked() -> None:
    judge = WordJudge()

    hearing = hear(judge, [message("")], {})

    assert (judge.asked, hearing.calls) == ([], ())


def test_what_is_known_is_not_asked_again_unless_it_changed() -> None:
    judge = WordJudge()
    same, edited = message("same"), message("after")
    known = {key_of(same): judged("good", "acme"), (edited.id, "befor"): judged("bad", "acme")}

    hearing = hear(judge, [same, edited], known)

    assert judge.texts == ["after"]
    assert [hearing.judged[key_of(each)].judgement.label for each in (same, edited)] == [
        "positive",
        "neutral",
    ]


def test_long_texts_are_cut_before_they_are_asked_about() -> None:
    judge = WordJudge()

    hear(judge, [message("a" * 2 * TEXT_CHARS_MAX)], {})

    assert [len(text) for text in judge.texts] == [TEXT_CHARS_MAX]


def test_the_first_answers_of_a_judge_that_stopped_are_kept() -> None:
    judge = WordJudge(failure=Transient("busy"), answers=1)
    first, second = message("bad"), message("good")

    hearing = hear(judge, [first, second], {})

    assert hearing.judged.keys() == {key_of(first)}
    assert (len(hearing.calls), hearing.failure) == (1, judge.failure)


def test_a_judge_that_forgets_a_message_is_a_bug() -> None:
    class Forgetful:
        def judge(self, texts: Sequence[str]) -> Verdict:
            return Verdict([BLANK])

    with pytest.raises(ValueError, match="1 judgements of 2"):
        hear(Forgetful(), [message("one"), message("two")], {})


@pytest.mark.parametrize(
    "failure", [Transient("busy"), Transient("busy", retry_after_s=PATIENCE_S)]
)
def test_a_short_trouble_is_waited_out(failure: Transient) -> None:
    with pytest.raises(Transient):
        give_way(desk(), failure, asked_s=0.0)


def test_a_provider_that_is_silent_for_a_minute_is_not_asked_again() -> None:
    before = desk()

    after = give_way(before, Transient("late"), asked_s=PATIENCE_S + 0.1)

    assert after.judge == before.local


def test_how_long_the_judge_was_asked_is_known() -> None:
    class Slow:
        def judge(self, texts: Sequence[str]) -> Verdict:
            time.sleep(0.05)
            raise Transient("late")

    hearing = hear(Slow(), [message("one")], {})

    assert hearing.asked_s >= 0.05


@pytest.mark.parametrize(
    ("failure", "is_last_try"),
    [
        (Transient("busy"), True),
        (Transient("busy", retry_after_s=PATIENCE_S + 1), False),
        (Permanent("refused"), False),
        (Misconfigured("the key is wrong"), False),
    ],
)
def test_after_it_the_local_judge_judges(failure: JobError, is_last_try: bool) -> None:
    before = desk(is_last_try=is_last_try)

    after = give_way(before, failure, asked_s=0.0)

    assert (after.judge, after.local) == (before.local, before.local)


def test_what_postgres_cannot_store_does_not_reach_it() -> None:
    judgement = Judgement(0.1, "neutral", 0.5, {"joy": 0.2}, topics=("a\0b",), keywords=("\ud800",))

    fields = fields_of(Judged(judgement, "acme"))

    assert (fields["topics"], fields["keywords"]) == (["a b"], ["?"])
    assert fields["emotions"] == {**dict.fromkeys(EMOTIONS, 0.0), "joy": 0.2}


def test_conversations_are_judged_one_by_one() -> None:
    one, two = uuid4(), uuid4()

    wholes = judge_conversations([scored(one, -0.5), scored(one, -0.5), scored(two, 0.7)])

    assert {id: whole.judgement.score for id, whole in wholes.items()} == {one: -0.5, two: 0.7}


def test_a_score_that_somebody_else_set_has_a_label() -> None:
    wholes = judge_conversations([scored(CONVERSATION, -0.5)])

    assert wholes[CONVERSATION].judgement.label == "negative"
