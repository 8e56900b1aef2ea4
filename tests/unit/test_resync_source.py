"""What a refresh makes of what was seen before."""

from dataclasses import replace
from uuid import UUID

from db.sources import Source, State
from pipelines.index_source import asked
from pipelines.resync_source import seen_of

PAGE = Source(
    *(UUID(int=1), UUID(int=2), UUID(int=3), "Docs", "url", None),
    *("https://example.com/docs", None, None, None, {}, "local"),
)
STATE = State(asked(PAGE, "local"), {"etag": '"1"'}, {})


def test_the_same_page_and_model_are_asked_for_conditionally() -> None:
    assert seen_of(PAGE, STATE, "local") == {"etag": '"1"'}


def test_what_was_seen_of_another_address_counts_for_nothing() -> None:
    moved = replace(PAGE, url="https://example.com/handbook")

    assert seen_of(moved, STATE, "local") == {}


def test_what_was_embedded_with_another_model_is_read_again() -> None:
    assert seen_of(PAGE, STATE, "other") == {}


def test_a_source_that_was_never_read_has_seen_nothing() -> None:
    assert seen_of(PAGE, None, "local") == {}
