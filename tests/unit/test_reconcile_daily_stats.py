"""In which order the nightly recount takes agents."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

import pytest

from db import daily_stats
from db.fence import Fence
from pipelines import reconcile_daily_stats
from pipelines.reconcile_daily_stats import batches

AGENTS = [UUID(int=number) for number in range(1, 8)]


class Reads:
    """A fence whose transactions read nothing: the agents are listed below."""

    @contextmanager
    def read(self) -> Iterator[None]:
        yield


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def list_agents(_conn: Any, *, after: UUID | None, agents_max: int) -> list[UUID]:
        return [agent for agent in AGENTS if after is None or agent > after][:agents_max]

    monkeypatch.setattr(daily_stats, "list_agents", list_agents)
    monkeypatch.setattr(reconcile_daily_stats, "BATCH_AGENTS", 2)


@pytest.mark.parametrize("begin", [0, 1, 4, 6, 7, 9])
def test_every_agent_is_recounted_once_wherever_a_night_begins(begin: int) -> None:
    taken = list(batches(cast(Fence, Reads()), begin=UUID(int=begin)))

    assert sorted(agent for batch in taken for agent in batch) == AGENTS
    assert max(map(len, taken)) == 2


def test_a_night_begins_behind_the_given_agent() -> None:
    taken = list(batches(cast(Fence, Reads()), begin=AGENTS[3]))

    assert taken[0] == AGENTS[4:6]
    assert taken[-1] == [AGENTS[2], AGENTS[3]]
