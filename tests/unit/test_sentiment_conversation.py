"""What the scores of messages amount to."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sentiment.conversation import (
    HALF_LIFE,
    LABEL_SCORE_MIN,
    NEUTRAL_SHARE_MAX,
    judge_conversation,
    most_frequent,
    weigh,
)
from pipelines.sentiment.judgement import EMOTIONS, Judgement, Label
from pipelines.sentiment.verdict import Judged

ROUNDING = 0.0011
# What local judges say of "hello", of a complaint, and of thanks.
GREETING, COMPLAINT, THANKS = (0.05, 0.7), (-0.9, 0.9), (0.9, 0.95)


def said(score: float, confidence: float = 0.9, **fields: object) -> Judged:
    label: Label = "neutral" if abs(score) < 0.2 else "negative" if score < 0 else "positive"
    emotions = dict.fromkeys(EMOTIONS, abs(score))
    judgement = Judgement(score=score, label=label, confidence=confidence, emotions=emotions)
    return Judged(replace(judgement, **fields), "local")  # type: ignore[arg-type]


def whole(*messages: Judged) -> Judgement:
    judged = judge_conversation(messages)
    assert judged is not None
    return judged.judgement


messages = st.builds(
    said,
    st.floats(-1, 1).map(lambda score: round(score, 3)),
    st.floats(0, 1).map(lambda confidence: round(confidence, 3)),
)
conversations = st.lists(messages, min_size=1, max_size=12)
few = settings(max_examples=100, deadline=None)


def test_nothing_said_has_no_score() -> None:
    assert judge_conversation([]) is None


@given(messages)
@few
def test_one_message_is_the_conversation(message: Judged) -> None:
    assert whole(message) == replace(
        message.judgement,
        emotions={name: round(value, 3) for name, value in message.judgement.emotions.items()},
    )


@given(conversations)
@few
def test_a_score_lies_between_those_of_the_messages(said_in_order: list[Judged]) -> None:
    scores = [message.judgement.score for message in said_in_order]

    judgement = whole(*said_in_order)

    assert min(scores) - ROUNDING <= judgement.score <= max(scores) + ROUNDING
    assert 0 <= judgement.confidence <= 1
    assert judgement.emotions.keys() == set(EMOTIONS)


@given(conversations)
@few
def test_the_opposite_of_everything_has_the_opposite_score(said_in_order: list[Judged]) -> None:
    opposite = [
        said(-message.judgement.score, message.judgement.confidence) for message in said_in_order
    ]

    assert whole(*opposite).score == pytest.approx(-whole(*said_in_order).score, abs=ROUNDING)


@given(conversations, st.floats(0, 1))
@few
def test_a_message_with_a_better_score_makes_no_score_worse(
    said_in_order: list[Judged], better: float
) -> None:
    """Within a label: a message that becomes neutral weighs less."""
    first = said_in_order[0].judgement
    end = {"negative": -0.2, "neutral": 0.199, "positive": 1.0}[first.label]
    raised = replace(first, score=first.score + better * (end - first.score))

    judgement = whole(replace(said_in_order[0], judgement=raised), *said_in_order[1:])

    if len(said_in_order) > 1:
        assert judgement.score >= whole(*said_in_order).score - ROUNDING


@given(st.lists(st.just(said(*GREETING)), max_size=30), st.integers(0, 30))
@few
def test_no_number_of_greetings_drowns_a_complaint(calm: list[Judged], place: int) -> None:
    said_in_order = [*calm[:place], said(*COMPLAINT), *calm[place:]]

    judgement = whole(*said_in_order)

    assert judgement.score <= COMPLAINT[0] * (1 - NEUTRAL_SHARE_MAX) + 0.05
    assert judgement.label == "negative"


@given(conversations)
@few
def test_every_message_has_a_weight(said_in_order: list[Judged]) -> None:
    weights = weigh([message.judgement for message in said_in_order])

    assert len(weights) == len(said_in_order)
    assert min(weights) > 0


def test_the_end_matters_more_than_the_beginning() -> None:
    solved = whole(said(*COMPLAINT), said(*THANKS))
    lost = whole(said(*THANKS), said(*COMPLAINT))

    assert lost.score < -0.05 < 0.05 < solved.score


def test_a_message_counts_half_after_its_half_life_of_messages_with_feeling() -> None:
    first, *_, last = weigh([said(-0.5).judgement] * int(HALF_LIFE + 1))

    assert first == pytest.approx(last / 2)


def test_a_message_of_which_the_judge_is_sure_counts_more() -> None:
    assert whole(said(-0.8, 0.9), said(0.8, 0.3)).score < -0.2
    assert whole(said(-0.8, 0.3), said(0.8, 0.9)).score > 0.2


def test_a_score_near_zero_is_neutral() -> None:
    mixed = whole(said(-0.7), said(0.6))

    assert abs(mixed.score) < LABEL_SCORE_MIN
    assert mixed.label == "neutral"


def test_blank_messages_alone_are_neutral_and_nobody_is_sure() -> None:
    blank = said(0.0, 0.0)

    judgement = whole(blank, blank)

    assert (judgement.score, judgement.label, judgement.confidence) == (0.0, "neutral", 0.0)


def test_both_judges_are_named_once() -> None:
    judged = judge_conversation(
        [said(0.5), replace(said(0.5), judge="acme/one"), replace(said(0.5), judge="")]
    )

    assert judged is not None
    assert judged.judge == "acme/one, local"


def test_the_most_frequent_words_come_first_and_later_ones_before_earlier() -> None:
    lists = [("refund", "parcel"), ("parcel", "price"), ("login", "login")]

    assert most_frequent(lists, 3) == ("parcel", "login", "price")
