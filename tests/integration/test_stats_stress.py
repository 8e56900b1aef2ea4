"""Writers, aggregators, summarisers and a reconciler at once, for a moment; a minute is a bench."""

from tests.stressing import stress


def test_after_seconds_of_everything_at_once_figures_are_right_and_nobody_saw_an_error(
    database_url: str,
) -> None:
    found = stress(database_url, duration_s=3)

    assert found.errors == []
    assert found.deadlocks == 0
    assert found.wrong == {}
    assert found.writes > 0
