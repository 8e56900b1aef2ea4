"""The arithmetic of the engine's bench."""

from pathlib import Path

import pytest

from tests.benchmarks.bench_engine import Line
from tests.benchmarks.engine_peers import stamps
from tests.benchmarks.engine_peers.measures import quantile, steady_rate, waits


def test_a_steady_rate_leaves_out_slow_starts_and_stragglers() -> None:
    start, steady, stragglers = [0.0] * 5, [100 + n / 10 for n in range(90)], [900.0] * 5

    rate = steady_rate([*steady, *stragglers, *start])

    assert rate == pytest.approx(10)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_quantile_is_one_of_the_values(share: float, value: int) -> None:
    values = [*range(51, 101), *range(1, 51)]

    assert quantile(values, share) == value


def test_waits_belong_to_the_jobs_they_were_sent_for() -> None:
    sent = {1: 10.0, 2: 20.0}
    begun = {0: 5.0, 2: 21.0, 1: 10.5}

    assert waits(sent, begun) == [0.5, 1.0]


def test_ratios_are_taken_within_a_repetition_and_judged_by_the_aim() -> None:
    line = Line(peer="p", what="", aim=2.0, ours=[30, 10, 50], theirs=[10, 10, 10])

    assert line.ratios == [3, 1, 5]
    assert line.margin == 1.5


def test_a_board_tells_which_jobs_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = tmp_path / "stamps"
    monkeypatch.setenv(stamps.PATH, str(board))
    stamps.create(board, 4)
    stamps.board.cache_clear()

    stamps.stamp(2)

    assert stamps.read(board).keys() == {2}
