"""What an owner is told of a re-index."""

from uuid import UUID

import pytest

from db.sources import Agent
from db.waits import Waited
from pipelines.report_reindex import NAMES_MAX, list_names, write_notice

AGENT = Agent(UUID(int=1), "Support Bot", UUID(int=2), None)


@pytest.mark.parametrize(
    ("counts", "names", "priority", "says"),
    [
        (Waited(), [], "normal", "Support Bot has no sources"),
        (Waited(completed=12), [], "normal", "All sources of Support Bot were indexed again (12)"),
        (
            Waited(completed=7, discarded=2, cancelled=1),
            ["A", "B", "C"],
            "high",
            "3 of 10 sources of Support Bot could not be indexed again: A, B, C. What was",
        ),
        (Waited(discarded=1), [], "high", "The sources of Support Bot could not be indexed"),
    ],
)
def test_the_owner_is_told_how_it_went(
    counts: Waited, names: list[str], priority: str, says: str
) -> None:
    notice = write_notice(AGENT, counts, names)

    assert (notice.user_id, notice.priority) == (AGENT.user_id, priority)
    assert says in notice.message


def test_a_long_list_of_failures_is_cut_short() -> None:
    names = [f"source {n}" for n in range(NAMES_MAX)]

    assert list_names(names, 40).endswith(f"source {NAMES_MAX - 1} and {40 - NAMES_MAX} more")


def test_a_very_long_name_is_cut_short() -> None:
    assert len(list_names(["x" * 500], 1)) < 100
