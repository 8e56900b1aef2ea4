"""What the probe kind does, as far as it needs no database."""

import time
from typing import Any

import pytest

from db.fence import Fence
from pipelines import probe
from pipelines.errors import Permanent, Transient


def run(**asked: Any) -> None:
    defaults = {"sleep_ms": 0, "cpu_ms": 0, "fails": False, "effect": None, "crash": False}
    nowhere: Any = None
    probe.run(Fence(nowhere, 1, 1), **{**defaults, **asked})


def test_a_probe_that_is_asked_to_fail_may_be_retried() -> None:
    with pytest.raises(Transient):
        run(fails=True)


@pytest.mark.parametrize("name", ["sleep_ms", "cpu_ms"])
@pytest.mark.parametrize("value", [-1, probe.DURATION_MS_MAX + 1])
def test_a_duration_outside_the_limits_is_refused(name: str, value: int) -> None:
    with pytest.raises(Permanent, match=str(probe.DURATION_MS_MAX)):
        run(**{name: value})


def test_a_probe_sleeps_and_burns_as_long_as_asked() -> None:
    wall, cpu = time.monotonic(), time.thread_time()

    run(sleep_ms=60, cpu_ms=20)

    assert time.monotonic() - wall >= 0.06
    assert time.thread_time() - cpu >= 0.02
