"""One thread that does many callers' database work in few transactions.

It begins whenever the previous commit has returned: alone when idle, in large batches when busy.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import psycopg

from db.pool import AWAY, Connection

BATCH_MAX = 500
RETRY_S = 0.5
# A connection that nobody needs goes back to the server's few.
IDLE_S = 60.0
# Within AWAY, and yet the statement's own fault: a program limit, a statement that took too long.
OWN_FAULTS = ("54", "57014")

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Connection, Sequence[Item]], Sequence[Result]]
# Who waits for an answer: a thread or a coroutine.
Waiting = Future[Any] | asyncio.Future[Any]

log = logging.getLogger(__name__)


class Batches(threading.Thread, Generic[Item, Result]):
    """Callers `submit` items, or `ask` in coroutines; `work` answers a batch of them in one
    transaction, in their order.

    A batch that fails is done again item by item, so that only the guilty one gets its error.
    While Postgres is away, and when an answer to a commit is lost, items wait and are done again
    where `waits` is true (for stores, which must bear it); else they fail.
    """

    def __init__(
        self,
        open_connection: Callable[[], Connection],
        work: Work[Item, Result],
        *,
        name: str,
        waits: bool,
        batch_max: int = BATCH_MAX,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._open_connection = open_connection
        self._work = work
        self._waits = waits
        self._batch_max = batch_max
        self._conn: Connection | None = None
        self._queue: SimpleQueue[tuple[Item, Waiting] | None] = SimpleQueue()
        self._closing = False
        self._lock = threading.Lock()

    def submit(self, item: Item) -> "Future[Result]":
        """The item is worked on even when nobody waits for the answer any more."""
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()
        self._put(item, future)
        return future

    async def ask(self, item: Item) -> Result:
        """As submit; the answers to a batch wake the loop once."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._put(item, future)
        return await future

    def _put(self, item: Item, waiting: Waiting) -> None:
        with self._lock:
            if self._closing:
                raise RuntimeError(f"{self.name} is closed")
            self._queue.put((item, waiting))

    def close(self, timeout_s: float) -> None:
        """Return when all that was submitted is done, or after the time."""
        with self._lock:
            self._closing = True
            self._queue.put(None)
        if self.is_alive():
            self.join(timeout_s)

    def run(self) -> None:
        is_open = True
        while is_open:
            try:
                batch = [self._queue.get(timeout=IDLE_S), *self._drain()]
            except Empty:
                self._disconnect()
                continue
            is_open = None not in batch
            self._answer([entry for entry in batch if entry is not None])
        self._disconnect()

    def _drain(self) -> list[tuple[Item, Waiting] | None]:
        waiting: list[tuple[Item, Waiting] | None] = []
        try:
            while len(waiting) < self._batch_max - 1:
                waiting.append(self._queue.get_nowait())
        except Empty:
            pass
        return waiting

    def _answer(self, entries: Sequence[tuple[Item, Waiting]]) -> None:
        if not entries:
            return
        try:
            results = self._commit([item for item, _ in entries])
        except Exception as error:  # noqa: BLE001 - whoever waits for the item answers it
            if len(entries) > 1 and not is_away(error):
                for entry in entries:
                    self._answer([entry])
                return
            tell_all([(waiting, error, True) for _, waiting in entries])
        else:
            pairs = zip(entries, results, strict=True)
            tell_all([(waiting, result, False) for (_, waiting), result in pairs])

    def _commit(self, items: Sequence[Item]) -> Sequence[Result]:
        """Raises what makes trying again pointless, or what `waits` does not wait for."""
        while True:
            try:
                return self._try_commit(items)
            except AWAY as error:
                if not is_away(error):
                    raise
                self._disconnect()
                if not self._waits:
                    raise
                log.warning("%s: cannot store yet: %s", self.name, first_line(error))
                time.sleep(RETRY_S)

    def _try_commit(self, items: Sequence[Item]) -> Sequence[Result]:
        if self._conn is None or self._conn.closed or self._conn.broken:
            self._conn = self._open_connection()
        with self._conn.transaction():
            results = self._work(self._conn, items)
            if len(results) != len(items):
                raise ValueError(f"{self.name}: {len(results)} answers to {len(items)} items")
        return results

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None


def tell_all(answers: Sequence[tuple[Waiting, Any, bool]]) -> None:
    """Give each who waits a result, or an error where the flag is set."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Waiting, Any, bool]]] = {}
    for answer in answers:
        if isinstance(answer[0], asyncio.Future):
            by_loop.setdefault(answer[0].get_loop(), []).append(answer)
        else:
            tell(*answer)
    for loop, of_loop in by_loop.items():
        # A loop that has ended has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell_each, of_loop)


def tell_each(answers: Sequence[tuple[Waiting, Any, bool]]) -> None:
    for answer in answers:
        tell(*answer)


def tell(waiting: Waiting, answer: Any, is_error: bool) -> None:
    if waiting.done():
        return
    if is_error:
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)


def is_away(error: Exception) -> bool:
    """Whether Postgres cannot work now, whatever it is asked to do."""
    if not isinstance(error, AWAY):
        return False
    assert isinstance(error, psycopg.Error)
    return error.sqlstate is None or not error.sqlstate.startswith(OWN_FAULTS)


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
