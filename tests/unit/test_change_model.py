"""What bounds a change of model."""

import pytest

from pipelines.change_model import SOURCES_MAX, check_count
from pipelines.errors import Permanent


def test_as_many_sources_as_the_limit_are_taken() -> None:
    check_count(SOURCES_MAX)


def test_more_sources_than_the_limit_are_refused_by_name() -> None:
    with pytest.raises(Permanent, match=r"more than 50,000 sources"):
        check_count(SOURCES_MAX + 1)
