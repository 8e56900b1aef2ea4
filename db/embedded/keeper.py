"""The process that owns one server: starts it, restarts it, stops it when nobody needs it.

Started by `users.join` as `python -m db.embedded.keeper KIND FOLDER LOCK`, where LOCK is the
descriptor of the keeper's lock, already taken. It reports on standard output: `ready`, or why not.
"""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from db.embedded.errors import EmbeddedError
from db.embedded.locks import is_replaced, open_lock, take
from db.embedded.place import Place, State, reason, save
from db.embedded.postgres import Postgres
from db.embedded.running import READY, Process, Server, end_survivors, start, stop, trim_log
from db.embedded.valkey import Valkey

log = logging.getLogger(__name__)

LOOK_PERIOD_S = 0.1
TRIM_PERIOD_S = 60.0
RESTART_DELAY_MAX_S = 5.0
START_TRIES_MAX = 3
SERVERS: dict[str, Callable[[Place], Server]] = {"postgres": Postgres, "redis": Valkey}


def main() -> None:
    kind, folder, lock = sys.argv[1:]
    if os.fork():
        # Whoever started us has no child to wait for; the lock lives on in the other half.
        os._exit(0)
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(format="%(asctime)s [keeper %(process)d] %(message)s", level=logging.INFO)
    keep(SERVERS[kind], Place(Path(folder)), int(lock))


def keep(make: Callable[[Place], Server], place: Place, lock: int) -> None:
    try:
        server = make(place)
        process = start_first(server)
    except EmbeddedError as error:
        report(str(error))
    except OSError as error:
        report(f"The embedded server in {place.folder} cannot run: {reason(error)}.")
    else:
        Keeper(server, process, lock).run()


def start_first(server: Server) -> Process:
    """Start on the address of last time; on another one if a foreign program took it meanwhile."""
    end_survivors(server)
    server.install()
    for _ in range(START_TRIES_MAX - 1):
        try:
            return start(server)
        except EmbeddedError:
            if not server.change_address():
                raise
    return start(server)


def report(message: str) -> None:
    """Tell the process that waits for us, and close the line to it."""
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), message.encode())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


class Keeper:
    """Watches over one running server until its last user is gone."""

    def __init__(self, server: Server, process: Process, lock: int) -> None:
        self._server = server
        self._place = server.place
        self._process = process
        self._lock = lock
        self._users = open_lock(server.place.users_lock)
        self._restart_delay_s = 0.0
        self._restart_at = 0.0
        self._trim_at = 0.0

    def run(self) -> None:
        try:
            self._announce()
            report(READY)
            while not self._is_alone():
                self._look()
                time.sleep(LOOK_PERIOD_S)
        finally:
            self._leave()

    def _announce(self) -> None:
        server = self._server
        save(self._place.state, State(server.url, server.address, self._process.pid))
        log.info("%s serves %s as process %d", server.title, server.address, self._process.pid)

    def _is_alone(self) -> bool:
        """Once true it stays so: who arrives now waits until we are gone."""
        return take(self._users) or self._is_evicted()

    def _look(self) -> None:
        now = time.monotonic()
        if self._process.poll() is not None and now >= self._restart_at:
            self._restart()
        if now >= self._trim_at:
            trim_log(self._place.log)
            self._trim_at = now + TRIM_PERIOD_S

    def _restart(self) -> None:
        """On the same address, for as long as it takes: clients reconnect to what they know."""
        log.warning("%s ended with code %s", self._server.title, self._process.returncode)
        self._place.state.unlink(missing_ok=True)
        try:
            self._process = start(self._server)
        except (EmbeddedError, OSError) as error:
            log.warning("%s", error)
            self._restart_delay_s = min(self._restart_delay_s * 2 + 0.5, RESTART_DELAY_MAX_S)
            self._restart_at = time.monotonic() + self._restart_delay_s
        else:
            self._restart_delay_s = 0.0
            self._announce()

    def _leave(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self._is_evicted():
            # The folder was deleted; what lies there now is another keeper's.
            return stop(self._server, self._process)
        self._place.state.unlink(missing_ok=True)
        stop(self._server, self._process)
        end_survivors(self._server)
        self._server.leave()
        return log.info("%s stopped", self._server.title)

    def _is_evicted(self) -> bool:
        return is_replaced(self._lock, self._place.keeper_lock)


if __name__ == "__main__":
    main()
