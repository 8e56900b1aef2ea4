"""The lease of a process: one row, renewed by a thread with a connection of its own.

It covers every job the process holds. A process that could not renew in time has been rescued
from, so it must end: nothing it still does can be stored.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from db import processes
from db.pool import AWAY, Connection
from db.processes import LEASE_S, RENEW_S
from workers import metrics

RETRY_S = 0.5

log = logging.getLogger(__name__)


class Lease(threading.Thread):
    """`held` is false while renewing fails: fetch nothing then. `on_lost` is called once.

    `stats` says what the process is doing; `on_renewed` gets the time of each renewal. `drains`
    becomes true once somebody asked the process to finish what it runs and end.
    """

    def __init__(
        self,
        open_connection: Callable[[], Connection],
        *,
        process_id: UUID,
        role: str,
        describe: Callable[[], dict[str, Any]],
        stats: Callable[[], dict[str, Any]] | None = None,
        on_renewed: Callable[[float], None] = lambda at: None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self.drains = False
        self._is_confirmed = False
        self._renewed_at = 0.0
        self._open_connection = open_connection
        self._process_id = process_id
        self._role = role
        self._describe = describe
        self._stats = stats
        self._on_renewed = on_renewed
        self._on_lost = on_lost
        self._conn: Connection | None = None
        self._ended = threading.Event()
        self._nudged = threading.Event()

    def nudge(self) -> None:
        """Renew soon: what `describe` answers has changed."""
        self._nudged.set()

    @property
    def held(self) -> bool:
        """False by the clock, too: a renewal may hang for ever."""
        return self._is_confirmed and not self.ran_out()

    def ran_out(self) -> bool:
        """Whether the last renewal is too long ago; false before the first."""
        return self._renewed_at > 0 and time.monotonic() - self._renewed_at >= LEASE_S

    def register(self) -> None:
        """Announce the process. Raises OperationalError while Postgres is away."""
        asked_at = time.monotonic()
        with self._connection().transaction():
            processes.register(
                self._connection(),
                id=self._process_id,
                role=self._role,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=self._describe(),
            )
        self._confirm(asked_at)

    def run(self) -> None:
        while not self._rest():
            try:
                is_held = self._renew()
                metrics.count(metrics.RENEWALS, self._role, "ok" if is_held else "lost")
            except AWAY as error:
                self._is_confirmed = False
                metrics.count(metrics.RENEWALS, self._role, "failed")
                log.warning("cannot renew the lease: %s", str(error).strip().split("\n")[0])
                is_held = self._role != "worker" or not self.ran_out()
            if not is_held:
                self._is_confirmed = False
                self._on_lost()
                return

    def _rest(self) -> bool:
        """Until the next renewal; true when there shall be none."""
        self._nudged.wait(RENEW_S if self._is_confirmed else RETRY_S)
        self._nudged.clear()
        return self._ended.is_set()

    def _renew(self) -> bool:
        """Only a worker's lease can be lost: other roles hold no jobs and register anew."""
        if self._role != "worker":
            self.register()
            return True
        asked_at = time.monotonic()
        with self._connection().transaction():
            renewed = processes.renew(
                self._connection(),
                id=self._process_id,
                queues=self._describe(),
                stats=None if self._stats is None else self._stats(),
            )
        if renewed is None:
            return False
        self._confirm(asked_at)
        self.drains = self.drains or renewed.drains
        return True

    def _confirm(self, asked_at: float) -> None:
        """It holds from when it was asked for, at the latest: the answer may have been slow."""
        self._renewed_at = asked_at
        self._is_confirmed = True
        self._on_renewed(asked_at)

    def resign(self) -> None:
        """End the lease in order. Jobs that a worker still holds are innocent."""
        self._ended.set()
        self._nudged.set()
        if self.ident is not None:
            self.join(1)
        if self.is_alive():
            log.warning("a renewal hangs; the lease runs out by itself in %.0f s", LEASE_S)
            return
        try:
            with self._connection().transaction():
                if self._role == "worker":
                    processes.expire(self._connection(), id=self._process_id, started=[])
                else:
                    processes.resign(self._connection(), id=self._process_id)
        except AWAY:
            log.warning("could not resign; the lease runs out by itself in %.0f s", LEASE_S)

    def _connection(self) -> Connection:
        if self._conn is None or self._conn.closed or self._conn.broken:
            self._conn = self._open_connection()
        return self._conn
