"""Which queues a worker command serves, and with how much."""

import pytest

from workers.cli.processes import SLOTS_MAX, parse_queues
from workers.jobs import QUEUES


def test_threads_are_for_queues_that_have_some() -> None:
    chosen = parse_queues(None, 2)

    assert chosen == {**dict.fromkeys(QUEUES, 2), "webhooks": QUEUES["webhooks"]}


def test_a_queue_may_be_given_its_own_number() -> None:
    assert parse_queues(["webhooks:2048", "default:3"], 9) == {"webhooks": 2048, "default": 3}


@pytest.mark.parametrize(
    "text", ["nothing", "default:257", "default:0", f"webhooks:{SLOTS_MAX + 1}"]
)
def test_what_cannot_be_served_is_refused(text: str) -> None:
    with pytest.raises(SystemExit) as refused:
        parse_queues([text], None)

    assert refused.value.code == 2
