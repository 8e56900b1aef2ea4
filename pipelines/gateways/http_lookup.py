"""Names to addresses, without blocking the loop and without one host's servers blocking others'."""

import asyncio
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

Lookup = Callable[[str], Sequence[str]]

# More than that many hosts at once are never asked for: the jobs of a process are fewer.
LOOKUPS_MAX = 512
# Of these may be for hosts whose last look-up took long: theirs fill no more than a share.
SLOW_LOOKUPS_MAX = 128
SLOW_S = 1.0
SLOW_HOSTS_MAX = 10_000


def look_up(host: str) -> Sequence[str]:
    """Resolve a name with the system's resolver; blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Lookups:
    """Each host is looked up in a thread, once for all who ask at the same time.

    Nothing is remembered but which hosts were slow. Threads of our own, not the loop's executor:
    hosts with dead name servers would fill it, and the interpreter would wait for them at its end.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._running: dict[str, asyncio.Task[Sequence[str]]] = {}
        self._slow: OrderedDict[str, None] = OrderedDict()
        self._slots = asyncio.Semaphore(LOOKUPS_MAX)
        self._slow_slots = asyncio.Semaphore(SLOW_LOOKUPS_MAX)

    async def find(self, host: str) -> Sequence[str]:
        """Raises what the look-up raises. Who gives up waiting leaves it to the others."""
        running = self._running.get(host)
        if running is None:
            running = asyncio.get_running_loop().create_task(self._find(host))
            self._running[host] = running
            running.add_done_callback(lambda _: self._running.pop(host))
        return await asyncio.shield(running)

    async def _find(self, host: str) -> Sequence[str]:
        if host not in self._slow:
            return await self._timed(host)
        async with self._slow_slots:
            return await self._timed(host)

    async def _timed(self, host: str) -> Sequence[str]:
        async with self._slots:
            started = time.monotonic()
            try:
                return await _in_thread(self._lookup, host)
            finally:
                self._note(host, time.monotonic() - started)

    def _note(self, host: str, elapsed_s: float) -> None:
        self._slow.pop(host, None)
        if elapsed_s >= SLOW_S:
            self._slow[host] = None
        if len(self._slow) > SLOW_HOSTS_MAX:
            self._slow.popitem(last=False)


async def _in_thread(lookup: Lookup, host: str) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[str]] = loop.create_future()

    def work() -> None:
        found: Sequence[str] | Exception
        try:
            found = lookup(host)
        except Exception as error:  # noqa: BLE001 - carried over to the waiting task
            found = error
        loop.call_soon_threadsafe(settle, found)

    def settle(found: Sequence[str] | Exception) -> None:
        if answer.done():
            return
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    threading.Thread(target=work, name="dns", daemon=True).start()
    return await answer
