"""On PostgreSQL 15: what needs no vector, as pgvector is a stand-in there."""

from tests.integration.test_search import (  # noqa: F401
    conn,
    shared,
    shelf,
    test_a_move_within_the_document_rewrites_no_words,
    test_a_question_without_a_known_word_finds_nothing,
    test_a_word_is_found_in_its_other_forms,
    test_a_word_with_two_forms_counts_once,
    test_another_tenants_words_change_no_score,
    test_any_text_can_be_stored,
    test_neighbours_come_in_the_sources_order,
    test_the_score_of_words_is_bm25,
    test_the_words_follow_every_change_of_a_chunk,
    test_title_and_headings_above_a_chunk_count_as_its_words,
    test_visitors_may_not_search,
    test_what_another_model_holds_does_not_change_a_score,
)
