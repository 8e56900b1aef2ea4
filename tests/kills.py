"""Which of many alike kills every run of the suite tries; `make kills` tries all."""

import pytest
from _pytest.mark.structures import ParameterSet


def rarely(*gaps: str) -> tuple[ParameterSet, ...]:
    """Gaps at which a process is killed only by `make kills`: their neighbours stand for them."""
    return tuple(pytest.param(gap, marks=pytest.mark.kills) for gap in gaps)
