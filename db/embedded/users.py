"""Join the embedded servers, starting them if nobody has; the last user to leave stops them."""

import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from db.embedded import valkey
from db.embedded.account import Account, postgres_account
from db.embedded.errors import EmbeddedError
from db.embedded.locks import is_held, open_lock, release, take
from db.embedded.place import Place, State, load_state, prepare_place
from db.embedded.running import READY, read_log_tail

log = logging.getLogger(__name__)

START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
LOOK_PERIOD_S = 0.02
WATCH_PERIOD_S = 0.5
PACKAGES = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Services:
    """Where the servers are. None: not asked for."""

    database_url: str | None
    redis_url: str | None


@dataclass(frozen=True)
class Kind:
    name: str
    title: str
    account: Callable[[], Account]
    answers: Callable[[State], bool]


def postgres_answers(state: State) -> bool:
    """A real connection: it proves that this is our server, and that it takes our password."""
    import psycopg  # the keeper, which imports this package too, must stay small

    try:
        psycopg.connect(state.url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def redis_answers(state: State) -> bool:
    return valkey.answers(Path(state.address))


POSTGRES = Kind("postgres", "Postgres", postgres_account, postgres_answers)
REDIS = Kind("redis", "Redis", Account, redis_answers)


@contextmanager
def serve(home: Path, *, postgres: bool = True, redis: bool = True) -> Iterator[Services]:
    """Run the servers of `home` for the length of the block, shared with all who do the same.

    A server that dies is back within seconds at the same address, so clients only reconnect.
    Raises EmbeddedError when one cannot run.
    """
    kinds = [kind for kind, is_wanted in ((POSTGRES, postgres), (REDIS, redis)) if is_wanted]
    with ExitStack() as stack:
        users = [User(kind, home) for kind in kinds]
        for user in users:
            stack.callback(user.wait_until_down)
        for user in users:
            stack.callback(user.leave)
        for user in users:
            user.enter()
        states = {user.kind.name: user.join() for user in users}
        stack.enter_context(watch(users))
        urls = {name: state.url for name, state in states.items()}
        yield Services(database_url=urls.get("postgres"), redis_url=urls.get("redis"))


@contextmanager
def watch(users: list["User"]) -> Iterator[None]:
    """Start a new keeper when one is killed."""
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(WATCH_PERIOD_S):
            for user in users:
                user.rejoin()

    thread = threading.Thread(target=look, name="embedded-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


class User:
    """One process' use of one server."""

    def __init__(self, kind: Kind, home: Path) -> None:
        self.kind = kind
        self._home = home
        self._place: Place | None = None
        self._lock: int | None = None
        self._line: IO[bytes] | None = None
        self._trouble = ""

    @property
    def place(self) -> Place:
        assert self._place is not None
        return self._place

    def enter(self) -> None:
        """Be counted, and start the keeper if there is none. Waits for one that leaves."""
        self._place = prepare_place(self._home, self.kind.name, self.kind.account())
        self._lock = open_lock(self.place.users_lock)
        ends_at = time.monotonic() + STOP_TIMEOUT_S
        while not take(self._lock, shared=True):
            if time.monotonic() > ends_at:
                raise EmbeddedError(
                    f"The embedded {self.kind.title} in {self.place.folder} is stopping for more "
                    f"than {STOP_TIMEOUT_S:.0f} s. See its log {self.place.log}."
                )
            time.sleep(LOOK_PERIOD_S)
        self._start_keeper_if_none()

    def join(self) -> State:
        """Wait until the server answers, starting keepers as often as they vanish."""
        ends_at = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < ends_at:
            self._start_keeper_if_none()
            self._hear_keeper(ends_at)
            state = load_state(self.place)
            if state is not None and self.kind.answers(state):
                return state
            time.sleep(LOOK_PERIOD_S)
        raise EmbeddedError(
            f"The embedded {self.kind.title} did not answer within {START_TIMEOUT_S:.0f} s. "
            f"Its log {self.place.log} ends:\n{read_log_tail(self.place.log)}"
        )

    def rejoin(self) -> None:
        """Replace a keeper that was killed. Never raises: the next look tries again."""
        try:
            if is_held(self.place.keeper_lock) or not self.place.folder.exists():
                return
            before = load_state(self.place)
            after = self.join()
        except (EmbeddedError, OSError) as error:
            self._tell(f"the embedded {self.kind.title} is down: {error}")
        else:
            moved = before is not None and before.address != after.address
            self._tell("" if not moved else f"{self.kind.title} moved to {after.address}: restart")

    def leave(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._lock is not None:
            release(self._lock)

    def wait_until_down(self) -> None:
        """Return when the server is down, or as soon as somebody else is seen to use it."""
        if self._lock is None:
            return
        ends_at = time.monotonic() + STOP_TIMEOUT_S
        while is_held(self.place.keeper_lock) or is_held(self.place.server_lock):
            if has_users(self.place):
                return
            if time.monotonic() > ends_at:
                log.warning("%s is still stopping, see %s", self.kind.title, self.place.log)
                return
            time.sleep(LOOK_PERIOD_S)

    def _start_keeper_if_none(self) -> None:
        lock = open_lock(self.place.keeper_lock)
        try:
            if self._line is None and take(lock):
                # What a killed keeper left behind must not be believed.
                self.place.state.unlink(missing_ok=True)
                self._line = start_keeper(self.kind.name, self.place, lock)
        finally:
            os.close(lock)

    def _hear_keeper(self, ends_at: float) -> None:
        if self._line is None:
            return
        said = hear(self._line, ends_at).decode(errors="replace")
        self._line.close()
        self._line = None
        if said != READY:
            raise EmbeddedError(
                said
                or f"The keeper of the embedded {self.kind.title} ended. Its log "
                f"{self.place.log} ends:\n{read_log_tail(self.place.log)}"
            )

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble


def start_keeper(name: str, place: Place, lock: int) -> IO[bytes]:
    """Start a keeper that inherits its lock, so that nobody comes between. Returns its reports."""
    command = [sys.executable, "-P", "-m", "db.embedded.keeper", name, str(place.folder), str(lock)]
    paths = [str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    with place.log.open("ab") as errors:
        place.log.chmod(0o600)
        first_half = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            pass_fds=(lock,),
            start_new_session=True,
        )
    first_half.wait()
    assert first_half.stdout is not None
    return first_half.stdout


def hear(line: IO[bytes], ends_at: float) -> bytes:
    """Everything the keeper says until it closes the line."""
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while selector.select(max(0.0, ends_at - time.monotonic())):
            part = os.read(line.fileno(), 65536)
            if not part:
                break
            said += part
    return said


def has_users(place: Place) -> bool:
    """Whether users, and not a leaving keeper, hold the lock."""
    lock = open_lock(place.users_lock)
    try:
        return not take(lock) and take(lock, shared=True)
    finally:
        os.close(lock)
