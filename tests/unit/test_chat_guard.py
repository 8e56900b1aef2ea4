"""Which messages share no call, since a model might take them for words to itself."""

import pytest

from pipelines.sentiment.chat_controls import _BAD, _GOOD, _OPENINGS, _THINGS
from pipelines.sentiment.chat_guard import may_instruct
from pipelines.sentiment.judgement import TEXT_CHARS_MAX
from pipelines.sentiment.local_judge import LocalJudge
from tests.fakes_chat_injections import INJECTIONS, ORDINARY, PLAIN


@pytest.mark.parametrize("text", INJECTIONS)
def test_a_message_for_the_model_is_caught(text: str) -> None:
    assert may_instruct(text)


@pytest.mark.parametrize("text", INJECTIONS[:5])
def test_it_is_caught_in_a_long_message(text: str) -> None:
    story = "My parcel was sent on Monday and I have been at home since. "

    assert may_instruct(story * 20 + text + " " + story * 20)


@pytest.mark.parametrize("text", [*ORDINARY, *PLAIN])
def test_support_talk_is_not(text: str) -> None:
    assert not may_instruct(text)


@pytest.mark.parametrize(
    "piece",
    "_|-= |{ |' |. |\n| |rate the |a b |all of the other |ignore |de ad be ef |QUJD|end of the |1 "
    "|set every |%41|&#105;|\\u0069|everyone |<|#|01100001 |=== a a a |the next |\u202e|ｉ".split(
        "|"
    ),
)
def test_no_text_keeps_it_busy(piece: str) -> None:
    text = (piece * TEXT_CHARS_MAX)[:TEXT_CHARS_MAX]

    assert may_instruct(text) in (True, False)


@pytest.mark.parametrize(("patterns", "label"), [(_GOOD, "positive"), (_BAD, "negative")])
def test_every_wording_of_a_control_is_clear_and_looks_like_support_talk(
    patterns: tuple[str, ...], label: str
) -> None:
    sentences = [
        opening + pattern.format(thing=thing, end=".")
        for pattern in patterns
        for thing in _THINGS
        for opening in _OPENINGS[:2]
    ]

    judgements = LocalJudge().judge(sentences)

    assert {judgement.label for judgement in judgements} == {label}
    assert not any(map(may_instruct, sentences))
