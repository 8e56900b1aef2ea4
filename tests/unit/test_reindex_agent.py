"""What bounds a re-index."""

import pytest

from pipelines.errors import Permanent
from pipelines.reindex_agent import SOURCES_MAX, check_count


def test_as_many_sources_as_the_limit_are_taken() -> None:
    check_count(SOURCES_MAX)


def test_more_sources_than_the_limit_are_refused_by_name() -> None:
    with pytest.raises(Permanent, match=r"more than 50,000 sources"):
        check_count(SOURCES_MAX + 1)
