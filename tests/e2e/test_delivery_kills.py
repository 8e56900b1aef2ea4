"""Killed at any step of a delivery, it arrives with the same id and bytes, and is counted once."""

import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from uuid import UUID

import pytest

from db.embedded import Services
from tests.chaos.gaps import Gaps
from tests.delivering import Delivering, delivering
from tests.kills import rarely
from tests.processes import kill_group, wait_until
from tests.receiving import Post

CROWD = 20
IN_FLIGHT_WEBHOOKS = 30
IN_FLIGHT_EACH = 10

# In the order of a delivery's life.
NOT_POSTED = ("post due", *rarely("letters loaded"))
POSTED = ("posted", *rarely("results stored"))
STORED = ("finish due", *rarely("results told"))


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Gaps:
    return Gaps(tmp_path_factory.mktemp("kills") / "gaps")


@pytest.fixture(scope="module")
def running(
    services: Services, template: str, gaps: Gaps, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivering]:
    env = {**gaps.env, "CRASH_DELIVERIES": "1"}
    with delivering(services, template, tmp_path_factory.mktemp("run"), env=env) as started:
        yield started


def kill_at(running: Delivering, gaps: Gaps, gap: str, *, count: int) -> UUID:
    """The webhook to which so many were delivered, while the worker was killed in the gap."""
    running.wait_for_workers()
    running.receiver.posts.clear()
    webhook_id = running.add_webhook(f"/ok/{gap.replace(' ', '-')}")
    gaps.cut(gap, signal.SIGKILL)
    running.send(webhook_id, count=count, data={"gap": gap})
    wait_until(gaps.are_cut, "a worker reaches the gap")
    running.wait_for(webhook_id)
    return webhook_id


def posts_by_id(running: Delivering) -> dict[str, list[Post]]:
    found: dict[str, list[Post]] = defaultdict(list)
    for post in running.receiver.posts:
        found[post.id].append(post)
    return found


def check(running: Delivering, webhook_ids: list[UUID], *, each: int) -> None:
    """All is delivered and counted; of one id nothing but the same bytes was ever posted."""
    ids = running.rows(
        "SELECT 'msg_' || event_id FROM public.webhook_deliveries WHERE webhook_id = ANY(%s)",
        webhook_ids,
    )
    found = posts_by_id(running)
    assert {name for (name,) in ids} == found.keys()
    assert {len({post.body for post in posts}) for posts in found.values()} == {1}
    assert {len({post.path for post in posts}) for posts in found.values()} == {1}
    for webhook_id in webhook_ids:
        assert running.statuses(webhook_id) == {"delivered": each}, running.show()
        assert running.counters(webhook_id) == (each, each, 0)


@pytest.mark.parametrize("gap", [*NOT_POSTED, *STORED])
def test_killed_before_its_post_or_after_its_commit_it_is_posted_once(
    running: Delivering, gaps: Gaps, gap: str
) -> None:
    webhook_id = kill_at(running, gaps, gap, count=1)

    check(running, [webhook_id], each=1)
    assert len(running.receiver.posts) == 1


@pytest.mark.parametrize("gap", POSTED)
def test_killed_between_post_and_commit_it_is_posted_once_more(
    running: Delivering, gaps: Gaps, gap: str
) -> None:
    webhook_id = kill_at(running, gaps, gap, count=1)

    check(running, [webhook_id], each=1)
    assert len(running.receiver.posts) == 2


def test_killed_among_many_none_is_lost_and_none_posted_a_third_time(
    running: Delivering, gaps: Gaps
) -> None:
    webhook_id = kill_at(running, gaps, "posted", count=CROWD)

    check(running, [webhook_id], each=CROWD)
    times = Counter(len(posts) for posts in posts_by_id(running).values())
    assert times[2] > 0
    assert max(times) == 2


def test_hundreds_in_flight_at_a_power_cut_are_all_in_flight_again(running: Delivering) -> None:
    running.wait_for_workers()
    running.receiver.posts.clear()
    webhook_ids = [running.add_webhook(f"/held/{n}") for n in range(IN_FLIGHT_WEBHOOKS)]
    for webhook_id in webhook_ids:
        running.send(webhook_id, count=IN_FLIGHT_EACH)
    total = IN_FLIGHT_WEBHOOKS * IN_FLIGHT_EACH
    wait_until(lambda: len(running.receiver.posts) == total, "all are in flight")

    kill_group(running.fleet.running["worker"], signal.SIGKILL)
    # None is answered before all have come again: one after the other they never would.
    wait_until(lambda: len(running.receiver.posts) == 2 * total, "all are in flight again")
    running.receiver.release()
    running.wait_for(*webhook_ids)

    check(running, webhook_ids, each=IN_FLIGHT_EACH)
    assert {len(posts) for posts in posts_by_id(running).values()} == {2}
