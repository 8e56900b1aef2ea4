"""What is taken from a chat model's answer, and what is not."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sentiment.chat_answer import PHRASE_CHARS_MAX, agrees, read_answers
from pipelines.sentiment.judgement import EMOTIONS, KEYWORDS_MAX, TOPICS_MAX, Judgement
from tests.fakes_chat_mind import Answer, answer


def read(change: Mapping[str, Any], *, text: str = "The red parcel was late") -> Judgement | None:
    item: Answer = answer("a", 0.5) | dict(change)
    return read_answers(json.dumps({"judgements": [item]}), {"a": text}).get("a")


@pytest.mark.parametrize(
    ("label", "score", "agree"),
    [
        ("positive", 0.05, True),
        ("positive", 0.0, False),
        ("negative", -0.05, True),
        ("negative", 0.3, False),
        ("neutral", 0.35, True),
        ("neutral", -0.36, False),
    ],
)
def test_a_label_and_its_score_agree(label: Any, score: float, agree: bool) -> None:
    assert agrees(label, score) is agree


@pytest.mark.parametrize(
    "change",
    [
        {"score": 10**400},
        {"score": None},
        {"score": True},
        {"confidence": True},
        {"score": [0.5]},
        {"confidence": -0.1},
        {"label": ["positive"]},
        {"label": "POSITIVE"},
        {"emotions": dict.fromkeys([*EMOTIONS, "trust"], 0.1)},
        {"emotions": dict.fromkeys(EMOTIONS, 1.1)},
        {"topics": [["nested"]]},
        {"keywords": ["word"] * 101},
        {"id": 7},
    ],
)
def test_what_is_not_exactly_as_asked_is_no_answer(change: Mapping[str, Any]) -> None:
    assert read(change) is None


def test_topics_and_keywords_are_short_plain_and_of_the_text() -> None:
    judgement = read(
        {
            "topics": ["Delivery", "<b>late</b>", "politics", "red parcel", "billing", "refund"],
            "keywords": ["RED  parcel", "late", "late", "blue", "x" * 41, "parcel\n<i>", ""],
        }
    )

    assert judgement is not None
    assert judgement.topics == ("delivery", "red parcel", "billing")
    assert judgement.keywords == ("red parcel", "late")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*answer("a", 0.1), "judgements", "x"]), inner, max_size=8
        )
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(changes=st.lists(st.dictionaries(st.sampled_from([*answer("a", 0)]), JSON), max_size=3))
def test_whatever_comes_a_judgement_is_within_its_bounds(changes: list[dict[str, Any]]) -> None:
    items = [answer("a", 0.5) | change for change in changes]

    for judgement in read_answers(json.dumps(items), {"a": "one two", "b": ""}).values():
        assert -1 <= judgement.score <= 1
        assert 0 <= judgement.confidence <= 1
        assert judgement.emotions.keys() == set(EMOTIONS)
        assert all(0 <= share <= 1 for share in judgement.emotions.values())
        assert len(judgement.topics) <= TOPICS_MAX
        assert len(judgement.keywords) <= KEYWORDS_MAX
        assert all(0 < len(word) <= PHRASE_CHARS_MAX for word in judgement.keywords)


@settings(max_examples=40, deadline=None)
@given(document=JSON)
def test_whatever_document_comes_nothing_breaks(document: Any) -> None:
    assert read_answers(json.dumps(document), {"a": "one"}).keys() <= {"a"}
    assert read_answers(json.dumps({"judgements": document}), {"a": "one"}).keys() <= {"a"}
