"""The texts the local judge learns from, as far as they lie in this project."""

from pathlib import Path

import pytest

from pipelines.sentiment.judgement import LABELS
from tests.benchmarks.sentiment_training.corpora import (
    Example,
    leave_out,
    mend,
    only,
    read_support,
)
from tests.benchmarks.sentiment_training.phrases import draw_support

SAMPLES = Path(__file__).parents[1] / "samples" / "sentiment"


def test_drawn_messages_are_the_same_every_time_and_hold_no_open_slot() -> None:
    drawn = draw_support()

    assert drawn == draw_support()
    assert not [one.text for one in drawn if "{" in one.text]
    assert {one.label for one in drawn} == {0, 1, 2}


@pytest.mark.parametrize("part", ["dev", "test"])
def test_there_are_enough_messages_of_every_label(part: str) -> None:
    labels = [LABELS[one.label] for one in read_support(SAMPLES / f"support.{part}.tsv")]

    assert min(labels.count(label) for label in LABELS) >= 70


def test_no_message_is_both_tuned_on_and_measured_on() -> None:
    dev, test = (read_support(SAMPLES / f"support.{part}.tsv") for part in ("dev", "test"))

    assert not {one.text for one in dev} & {one.text for one in test}


def test_a_text_that_was_learnt_is_known_in_other_case_and_with_another_address() -> None:
    learnt = [Example("So GOOD http://a.example @anna", only("positive"))]
    others = [Example("so good! https://b.example", only("positive")), *learnt]

    left = leave_out([*others, Example("so bad", only("negative"))], learnt)

    assert [one.text for one in left] == ["so bad"]


def test_the_escapes_of_an_older_format_are_mended() -> None:
    mended = mend(r"it\u2019s &amp; \"\ud83d\ude00\"")

    assert mended == 'it’s & "😀"'
