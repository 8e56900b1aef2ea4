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

import psycopg

from db import processes
from db.pool import Connection
from db.processes import LEASE_S, RENEW_S

RETRY_S = 0.5

log = logging.getLogger(__name__)


class Lease(threading.Thread):
    """`held` is false while renewing fails: fetch nothing then. `on_lost` is called once."""

    def __init__(
        self,
        open_connection: Callable[[], Connection],
        *,
        process_id: UUID,
        role: str,
        describe: Callable[[], dict[str, Any]],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self.held = False
        self._open_connection = open_connection
        self._process_id = process_id
        self._role = role
        self._describe = describe
        self._on_lost = on_lost
        self._conn: Connection | None = None
        self._ended = threading.Event()

    def _renew(self) -> bool:
        """Only a worker's lease can be lost: other roles hold no jobs and register anew."""
        if self._role != "worker":
            self.register()
            return True
        with self._connection().transaction():
            return processes.renew(self._connection(), id=self._process_id, queues=self._describe())

    def register(self) -> None:
        """Announce the process. Raises OperationalError while Postgres is away."""
        with self._connection().transaction():
            processes.register(
                self._connection(),
                id=self._process_id,
                role=self._role,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=self._describe(),
            )
        self.held = True

    def run(self) -> None:
        renewed_at = time.monotonic()
        while not self._ended.wait(RENEW_S if self.held else RETRY_S):
            try:
                self.held = self._renew()
            except psycopg.OperationalError as error:
                self.held = False
                log.warning("cannot renew the lease: %s", str(error).strip().split("\n")[0])
                if self._role != "worker" or time.monotonic() - renewed_at < LEASE_S:
                    continue
            if not self.held:
                self._on_lost()
                return
            renewed_at = time.monotonic()

    def resign(self) -> None:
        """Take the row away in an orderly end."""
        self._ended.set()
        self.join(1)
        try:
            with self._connection().transaction():
                processes.resign(self._connection(), id=self._process_id)
        except psycopg.OperationalError:
            log.warning("could not resign; the lease runs out by itself in %.0f s", LEASE_S)

    def _connection(self) -> Connection:
        if self._conn is None or self._conn.closed or self._conn.broken:
            self._conn = self._open_connection()
        return self._conn
