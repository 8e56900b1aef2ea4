"""Look-ups of names: none waits for another host's."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from pipelines.gateways import http_lookup
from pipelines.gateways.http_lookup import LOOKUPS_MAX, SLOW_LOOKUPS_MAX, Lookups

PATIENCE_S = 10.0


class Names:
    """A name server: `dead` hosts get no answer before the end."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ended = threading.Event()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host.startswith("dead"):
            self.ended.wait(PATIENCE_S)
            raise OSError(f"no answer for {host}")
        return ["192.0.2.1"]


async def wait_until_asked(names: Names, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(names.asked) < count:
            await asyncio.sleep(0.005)


def test_hosts_with_dead_name_servers_delay_no_other() -> None:
    names = Names()

    async def ask() -> Sequence[str]:
        lookups = Lookups(names)
        dead = [asyncio.create_task(lookups.find(f"dead{n}")) for n in range(200)]
        await wait_until_asked(names, 200)
        async with asyncio.timeout(PATIENCE_S / 2):
            found = await lookups.find("good")
        names.ended.set()
        await asyncio.gather(*dead, return_exceptions=True)
        return found

    assert asyncio.run(ask()) == ["192.0.2.1"]


def test_a_host_is_looked_up_once_for_all_who_ask_at_the_same_time() -> None:
    names = Names()

    async def ask() -> list[object]:
        lookups = Lookups(names)
        waiting = [asyncio.create_task(lookups.find("dead")) for _ in range(50)]
        await wait_until_asked(names, 1)
        waiting[0].cancel()
        names.ended.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    answers = asyncio.run(ask())

    assert [type(answer) for answer in answers] == [asyncio.CancelledError] + [OSError] * 49
    assert names.asked == ["dead"]


def test_each_request_asks_anew() -> None:
    names = Names()

    async def ask() -> None:
        lookups = Lookups(names)
        for _ in range(3):
            await lookups.find("good")

    asyncio.run(ask())

    assert names.asked == ["good"] * 3


def test_hosts_known_to_be_slow_fill_a_share_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_lookup, "SLOW_S", 0.0)
    names = Names()

    async def ask() -> int:
        lookups = Lookups(names)
        hosts = [f"dead{n}" for n in range(SLOW_LOOKUPS_MAX + 50)]
        names.ended.set()
        await asyncio.gather(*map(lookups.find, hosts), return_exceptions=True)
        names.ended.clear()
        names.asked.clear()
        again = [asyncio.create_task(lookups.find(host)) for host in hosts]
        await wait_until_asked(names, SLOW_LOOKUPS_MAX)
        await lookups.find("good")
        asked = len(names.asked)
        names.ended.set()
        await asyncio.gather(*again, return_exceptions=True)
        return asked

    assert asyncio.run(ask()) == SLOW_LOOKUPS_MAX + 1
    assert SLOW_LOOKUPS_MAX < LOOKUPS_MAX
