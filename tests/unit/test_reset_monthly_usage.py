"""How resetting goes from batch to batch."""

import pytest

from pipelines.batching import batches


@pytest.mark.parametrize(
    ("sizes", "made"),
    [([0], []), ([3], [3]), ([10, 10, 4], [10, 10, 4]), ([10, 10, 0], [10, 10])],
)
def test_batches_go_on_until_one_is_not_full(sizes: list[int], made: list[int]) -> None:
    left = iter(sizes)

    assert list(batches(lambda: next(left), rows_max=10)) == made
    assert list(left) == []
