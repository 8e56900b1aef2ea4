"""Records what is told of mails, beside the requests that tell it."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from db.batches import Batches
from db.pool import Connection
from pipelines.email import recording
from pipelines.email.recording import Note

# About 10 MB of notes while Postgres is away; after that new ones are lost.
NOTES_WAITING_MAX = 10_000
# How soon it is looked after events that came before their mail, and how often for old ones.
EARLY_EVERY_S = 2.0
OLD_EVERY_S = 300.0

Item = Note | float

log = logging.getLogger(__name__)


class Recorder:
    """Takes notes without waiting for Postgres: while it is away they queue, up to a limit."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        self._batches: Batches[Item, bool] = Batches(
            open_connection, work, name="mail events", waits=True
        )
        self._room = threading.BoundedSemaphore(NOTES_WAITING_MAX)
        self._some_wait = threading.Event()
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._catch_up, name="mail catch-up", daemon=True)

    def start(self) -> None:
        self._batches.start()
        self._watch.start()

    def close(self, timeout_s: float) -> None:
        self._closing.set()
        self._some_wait.set()
        self._batches.close(timeout_s)

    def submit(self, note: Note) -> "Future[bool] | None":
        """Done once it is committed. None: too many wait already, and this one is lost."""
        if not self._room.acquire(blocking=False):
            return None
        future = self._batches.submit(note)
        future.add_done_callback(self._end)
        return future

    def _end(self, future: "Future[bool]") -> None:
        self._room.release()
        if error := future.exception():
            log.error("a mail event cannot be stored", exc_info=error)
        elif future.result():
            self._some_wait.set()

    def _catch_up(self) -> None:
        """Look after all that waits at the start and now and then, after the young often."""
        within_s = recording.WAIT_S
        while not self._closing.is_set():
            try:
                some_wait = self._batches.submit(within_s).result()
            except Exception:
                log.exception("mail events that wait cannot be taken in")
                some_wait = False
            if some_wait:
                self._closing.wait(EARLY_EVERY_S)
                within_s = recording.EARLY_S
            else:
                self._some_wait.clear()
                told = self._some_wait.wait(OLD_EVERY_S)
                within_s = recording.EARLY_S if told else recording.WAIT_S


def work(conn: Connection, items: Sequence[Item]) -> list[bool]:
    """Whether some of what was told has to wait; a number asks for events that waited so long."""
    notes = [item for item in items if isinstance(item, Note)]
    some_wait = recording.record(conn, notes) if notes else False
    for item in items:
        if isinstance(item, float):
            some_wait |= recording.catch_up(conn, within_s=item)
    return [some_wait] * len(items)
