"""What an owner is told when an agent keeps its model."""

from uuid import UUID

import pytest

from db.sources import Agent
from pipelines.switch_model import describe_failure

AGENT = Agent(UUID(int=1), "Support Bot", UUID(int=2), "old")


@pytest.mark.parametrize(
    ("failed", "names", "why", "says"),
    [
        (1, ["Docs"], "", "because 1 source could not be embedded with the new one: Docs."),
        (9, ["A", "B"], "", "9 sources could not be embedded with the new one: A, B and 7 more."),
        (1, [], "", "because 1 source could not be embedded with the new one. Everything"),
        (1, ["Docs"], "no such model", "with the new one: Docs (no such model). Everything"),
    ],
)
def test_the_owner_learns_which_sources_failed_and_why(
    failed: int, names: list[str], why: str, says: str
) -> None:
    assert says in describe_failure(AGENT, failed, names, why)
