"""How an erasure walks through batches and pages."""

from pipelines.erase_visitor import OWN_ROWS, TRACES, parts, take_all


def test_batches_go_on_until_one_is_not_full() -> None:
    asked: list[int] = []
    left = [500, 500, 3, 99]

    def take_next(rows_max: int) -> int:
        asked.append(rows_max)
        return left.pop(0)

    take_all(take_next, rows_max=500)

    assert (asked, left) == ([500, 500, 500], [99])


def test_every_page_of_a_table_is_looked_at_once() -> None:
    covered = [page for part in parts(150, size=64) for page in range(part.first, part.first + 64)]

    assert covered[:151] == list(range(151))
    assert len(set(covered)) == len(covered)


def test_a_table_that_was_empty_is_looked_at_for_rows_that_came_since() -> None:
    assert [(part.first, part.count) for part in parts(0, size=64)] == [(0, 64)]


def test_what_quotes_goes_before_what_it_quotes() -> None:
    order = [place for place, _, _ in OWN_ROWS]

    assert order.index("public.training_examples") < order.index("public.corrections")
    assert order.index("public.corrections") < order.index("public.messages")
    assert order.index("public.messages") < order.index("public.conversations")


def test_the_trail_is_looked_at_after_the_deletions_that_write_it() -> None:
    order = list(TRACES)

    assert order.index("public.activity_logs") > order.index("public.corrections")
    assert order.index("public.activity_logs") > order.index("public.training_examples")
