"""The thread behind realtime subscriptions: it listens, reads as the subscriber, calls back.

A notification names rows; what was committed unseen (while the connection was down, or by a
writer that began before the subscription) is found by looking at recent rows every RENEW_S.
"""

import json
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import psycopg

from db import listeners
from db.acting import acting
from db.pool import Connection, connect

LEASE_S = 30.0
RENEW_S = 10.0
# A transaction that wrote a row may have begun this long before it commits.
OVERLAP = timedelta(seconds=120)
RETRY_S = 0.5
READ_ROWS_MAX = 500

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """A row that was inserted or updated: `event` is INSERT or UPDATE."""

    table: str
    event: str
    new: T


@dataclass(eq=False, slots=True)
class Subscription:
    """Rows of one topic and key for one reader; `seen` are the recent ones, by id."""

    topic: str
    key: UUID
    claims: Mapping[str, Any]
    callback: Callable[[Change[Any]], object]
    seen: dict[UUID, datetime] = field(default_factory=dict)
    is_open: bool = True
    calling: Any = field(default_factory=threading.RLock)

    def close(self) -> None:
        """Wait for a running call, unless this is within it, and allow no other."""
        with self.calling:
            self.is_open = False

    def call(self, row: Any, *, event: str = "INSERT") -> None:
        with self.calling:
            if not self.is_open:
                return
            try:
                self.callback(Change(self.topic, event, row))
            except Exception:
                log.exception("a subscriber to %s %s failed", self.topic, self.key)

    def may_read(self) -> bool:
        expires_at = self.claims.get("exp")
        return self.is_open and (expires_at is None or expires_at > time.time())


@dataclass(frozen=True, slots=True)
class Entry:
    subscription: Subscription
    ready: "Future[None]"


class Hub:
    """Subscriptions at one address. All but start, enter and forget runs in its thread."""

    def __init__(self, url: str, *, leave: Callable[[Callable[[], bool]], bool]) -> None:
        self.url = url
        self.leave = leave
        self.process = uuid4()
        self.subscriptions: list[Subscription] = []
        self.entering: deque[Entry] = deque()
        self.leaving: deque[Subscription] = deque()
        self.inbox: deque[str] = deque()
        self.scanned_at: datetime | None = None
        self.trouble = "no connection yet"
        self.bell, self.ringer = socket.socketpair()
        self.bell.setblocking(False)
        self.ringer.setblocking(False)

    def start(self) -> None:
        threading.Thread(target=self.run, name="avivro realtime", daemon=True).start()

    def enter(self, subscription: Subscription) -> "Future[None]":
        """Begin to serve it; the future ends when what is committed from then on will come."""
        ready: Future[None] = Future()
        self.entering.append(Entry(subscription, ready))
        self.ring()
        return ready

    def forget(self, subscription: Subscription) -> None:
        self.leaving.append(subscription)
        self.ring()

    def ring(self) -> None:
        with suppress(BlockingIOError):  # The bell is full of rings already.
            self.ringer.send(b"!")

    def run(self) -> None:
        while not self.leave(self.is_idle):
            try:
                with connect(self.url, autocommit=True, name="avivro realtime") as conn:
                    self.attend(conn)
            except psycopg.Error as error:
                self.trouble = str(error).strip().partition("\n")[0]
                log.warning("realtime waits for Postgres: %s", self.trouble)
                time.sleep(RETRY_S)
        self.bell.close()
        self.ringer.close()

    def is_idle(self) -> bool:
        waiting = [entry.subscription for entry in self.entering]
        return not any(one.is_open for one in [*self.subscriptions, *waiting])

    def attend(self, conn: Connection) -> None:
        """Serve until there is nobody left, or the connection breaks."""
        self.inbox.clear()
        conn.add_notify_handler(lambda notify: self.inbox.append(notify.payload))
        listeners.listen(conn)
        listeners.forget_expired(conn)
        self.register_all(conn)
        self.scan(conn)
        renewed_at = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(conn.fileno(), selectors.EVENT_READ)
            selector.register(self.bell, selectors.EVENT_READ)
            while True:
                self.admit(conn)
                self.dismiss(conn)
                if self.is_idle():
                    return
                if (rest_s := renewed_at + RENEW_S - time.monotonic()) <= 0:
                    self.renew(conn)
                    self.scan(conn)
                    renewed_at = time.monotonic()
                self.collect(conn)
                # Nothing may be asked between the last collecting and the waiting: its answer
                # could bring a notification along that wakes nobody.
                if self.inbox:
                    self.deliver_named(conn)
                else:
                    selector.select(max(rest_s, 0))

    def admit(self, conn: Connection) -> None:
        """Register first, then note what is there already: anything later is new."""
        self.mute()
        while self.entering:
            entry = self.entering[0]
            if (one := entry.subscription).is_open:
                self.register(conn, one)
                recent = listeners.list_recent(conn, one.topic, [one.key], since=self.since(conn))
                one.seen = {row_id: created_at for _, row_id, created_at in recent}
                self.subscriptions.append(one)
            self.entering.popleft()
            entry.ready.set_result(None)

    def mute(self) -> None:
        with suppress(BlockingIOError):
            while self.bell.recv(4096):
                pass

    def dismiss(self, conn: Connection) -> None:
        while self.leaving:
            gone = self.leaving.popleft()
            if gone not in self.subscriptions:
                continue
            self.subscriptions.remove(gone)
            if not self.watching(gone.topic, gone.key):
                listeners.remove(conn, topic=gone.topic, key=gone.key, process=self.process)

    def collect(self, conn: Connection) -> None:
        """Take what has arrived. A statement's answer may have brought some along already."""
        conn.pgconn.consume_input()
        while (arrived := conn.pgconn.notifies()) is not None:
            self.inbox.append(arrived.extra.decode())

    def deliver_named(self, conn: Connection) -> None:
        while self.inbox:
            change = json.loads(self.inbox.popleft())
            if change["ids"] is None:
                self.scan(conn)
                continue
            tell = self.deliver_updates if change.get("event") == "UPDATE" else self.deliver
            for one in self.watching(change["topic"], UUID(change["key"])):
                tell(conn, one, [UUID(row_id) for row_id in change["ids"]])

    def watching(self, topic: str, key: UUID) -> list[Subscription]:
        return [one for one in self.subscriptions if (one.topic, one.key) == (topic, key)]

    def deliver(self, conn: Connection, one: Subscription, ids: Sequence[UUID]) -> None:
        """Call back with those of the rows that are new to the subscriber and theirs to read."""
        fresh = [row_id for row_id in ids if row_id not in one.seen]
        for start in range(0, len(fresh), READ_ROWS_MAX):
            chosen = fresh[start : start + READ_ROWS_MAX]
            found = self.read(conn, one, chosen)
            now = self.since(conn) + OVERLAP
            one.seen |= dict.fromkeys(chosen, now) | {row.id: row.created_at for row in found}
            for row in found:
                one.call(row)

    def deliver_updates(self, conn: Connection, one: Subscription, ids: Sequence[UUID]) -> None:
        """Call back with the rows as they are now; what changed while we were away is not told."""
        for row in self.read(conn, one, ids):
            one.call(row, event="UPDATE")

    def read(self, conn: Connection, one: Subscription, ids: Sequence[UUID]) -> list[Any]:
        """The rows as the subscriber sees them. One whose claims no longer hold is let go."""
        if not one.may_read():
            self.leaving.append(one)
            return []
        try:
            with acting(conn, one.claims):
                return listeners.read(conn, one.topic, ids)
        except (psycopg.ProgrammingError, psycopg.DataError) as error:
            log.warning("a subscriber to %s %s may not read: %s", one.topic, one.key, error)
            one.close()
            self.leaving.append(one)
            return []

    def scan(self, conn: Connection) -> None:
        """Deliver what was committed without a word to us."""
        now, since = listeners.read_clock(conn), self.since(conn)
        for topic in {one.topic for one in self.subscriptions}:
            of_topic = [one for one in self.subscriptions if one.topic == topic]
            recent: dict[UUID, list[UUID]] = {one.key: [] for one in of_topic}
            for key, row_id, _ in listeners.list_recent(conn, topic, list(recent), since=since):
                recent[key].append(row_id)
            for one in of_topic:
                self.deliver(conn, one, recent[one.key])
        self.scanned_at = now
        for one in self.subscriptions:
            one.seen = {row_id: at for row_id, at in one.seen.items() if at >= now - OVERLAP}

    def since(self, conn: Connection) -> datetime:
        """Where a scan begins. The first one finds nobody, and only sets the clock."""
        if self.scanned_at is None:
            self.scanned_at = listeners.read_clock(conn)
        return self.scanned_at - OVERLAP

    def renew(self, conn: Connection) -> None:
        """Stay registered, also after a crash of the server emptied the table."""
        renewed = listeners.renew(conn, process=self.process, lease_s=LEASE_S)
        if renewed < len({(one.topic, one.key) for one in self.subscriptions}):
            self.register_all(conn)

    def register_all(self, conn: Connection) -> None:
        for one in self.subscriptions:
            self.register(conn, one)

    def register(self, conn: Connection, one: Subscription) -> None:
        listeners.register(
            conn, topic=one.topic, key=one.key, process=self.process, lease_s=LEASE_S
        )
