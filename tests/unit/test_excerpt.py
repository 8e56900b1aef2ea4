"""What is shown of a passage."""

from workers.cli.excerpt import excerpt

PASSAGE = "First about parking.\n\nRefunds take thirty days.\n\nLast about lunch."


def test_a_short_passage_is_shown_whole() -> None:
    assert excerpt(PASSAGE, "refunds") == PASSAGE


def test_the_paragraph_that_answers_is_shown() -> None:
    shown = excerpt(PASSAGE, "How long do refunds take?", chars_max=30)

    assert shown == "... Refunds take thirty days. ..."


def test_a_long_paragraph_ends_at_a_word() -> None:
    assert excerpt("alpha beta gamma delta", "?", chars_max=12) == "alpha beta ..."


def test_a_passage_of_white_space_shows_nothing() -> None:
    assert excerpt(" \n\n ", "why") == ""
