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
from db.embedded.place import Place, State, load_state, prepare_place, reason
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
        places = [prepare_place(home, kind.name, kind.account()) for kind in kinds]
        users = [User(kind, place) for kind, place in zip(kinds, places, strict=True)]
        for end in (User.wait_until_down, User.leave):
            for user in users:
                stack.callback(end, user)
        states = start_all(users)
        stack.enter_context(watch(users))
        urls = {name: state.url for name, state in states.items()}
        yield Services(database_url=urls.get("postgres"), redis_url=urls.get("redis"))


def start_all(users: list["User"]) -> dict[str, State]:
    """Side by side: each keeper is started before the first one is waited for."""
    try:
        for user in users:
            user.enter()
        return {user.kind.name: user.join() for user in users}
    except OSError as error:
        raise EmbeddedError(f"The embedded servers cannot run: {reason(error)}.") from error


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
        for user in users:
            user.give_up()
        thread.join()


class User:
    """One process' use of one server."""

    def __init__(self, kind: Kind, place: Place) -> None:
        self.kind = kind
        self._place = place
        self._lock = open_lock(place.users_lock)
        self._starting: StartingKeeper | None = None
        self._is_giving_up = False
        self._trouble = ""

    def enter(self) -> None:
        """Be counted, and start the keeper if there is none. Waits for one that leaves."""
        ends_at = time.monotonic() + STOP_TIMEOUT_S
        while not take(self._lock, shared=True):
            if time.monotonic() > ends_at:
                raise EmbeddedError(
                    f"The embedded {self.kind.title} in {self._place.folder} did not finish "
                    f"stopping within {STOP_TIMEOUT_S:.0f} s. See its log {self._place.log}."
                )
            time.sleep(LOOK_PERIOD_S)
        self._start_keeper_if_none()

    def join(self) -> State:
        """Wait until the server answers, starting keepers as often as they vanish."""
        ends_at = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < ends_at and not self._is_giving_up:
            self._start_keeper_if_none()
            self._hear_keeper()
            state = load_state(self._place)
            if state is not None and self.kind.answers(state):
                return state
            time.sleep(LOOK_PERIOD_S)
        raise EmbeddedError(
            f"The embedded {self.kind.title} did not answer within {START_TIMEOUT_S:.0f} s. "
            f"Its log {self._place.log} ends:\n{read_log_tail(self._place.log)}"
        )

    def rejoin(self) -> None:
        """Replace a keeper that was killed. Never raises: the next look tries again."""
        try:
            if is_held(self._place.keeper_lock) or not self._place.folder.exists():
                return
            before = load_state(self._place)
            after = self.join()
        except (EmbeddedError, OSError) as error:
            self._tell(f"the embedded {self.kind.title} is down: {error}")
        else:
            moved = before is not None and before.address != after.address
            self._tell(f"{self.kind.title} moved to {after.address}: restart" if moved else "")

    def give_up(self) -> None:
        """End a `join` that another thread is in."""
        self._is_giving_up = True

    def leave(self) -> None:
        if self._starting is not None:
            self._starting.forget()
        release(self._lock)

    def wait_until_down(self) -> None:
        """Return when the server is down, or as soon as somebody else is seen to use it."""
        place = self._place
        ends_at = time.monotonic() + STOP_TIMEOUT_S
        while is_held(place.keeper_lock) or is_held(place.server_lock):
            if has_users(place):
                return
            if time.monotonic() > ends_at:
                log.warning("%s is still stopping, see %s", self.kind.title, place.log)
                return
            time.sleep(LOOK_PERIOD_S)

    def _start_keeper_if_none(self) -> None:
        lock = open_lock(self._place.keeper_lock)
        try:
            if self._starting is None and take(lock):
                # What a killed keeper left behind must not be believed.
                self._place.state.unlink(missing_ok=True)
                self._starting = StartingKeeper(self.kind, self._place, lock)
        finally:
            os.close(lock)

    def _hear_keeper(self) -> None:
        if self._starting is not None and self._starting.has_reported():
            self._starting = None

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble and not self._is_giving_up:
            log.warning("%s", trouble)
        self._trouble = trouble


class StartingKeeper:
    """A keeper from its birth to its report. It inherits its lock: nobody can come between."""

    def __init__(self, kind: Kind, place: Place, lock: int) -> None:
        self._kind = kind
        self._place = place
        self._said = b""
        arguments = [kind.name, str(place.folder), str(lock)]
        paths = [str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        with place.log.open("ab") as errors:
            place.log.chmod(0o600)
            self._first_half = subprocess.Popen(
                [sys.executable, "-P", "-m", "db.embedded.keeper", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                pass_fds=(lock,),
                start_new_session=True,
            )

    def has_reported(self) -> bool:
        """Listen for a moment. Raises EmbeddedError with the reason when the keeper gave up."""
        if not self._has_hung_up():
            return False
        self.forget()
        said = self._said.decode(errors="replace")
        if said != READY:
            raise EmbeddedError(
                said
                or f"The keeper of the embedded {self._kind.title} ended. Its log "
                f"{self._place.log} ends:\n{read_log_tail(self._place.log)}"
            )
        return True

    def forget(self) -> None:
        self._first_half.wait()
        self._line.close()

    @property
    def _line(self) -> IO[bytes]:
        assert self._first_half.stdout is not None
        return self._first_half.stdout

    def _has_hung_up(self) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._line, selectors.EVENT_READ)
            if not selector.select(LOOK_PERIOD_S):
                return False
        part = os.read(self._line.fileno(), 65536)
        self._said += part
        return not part


def has_users(place: Place) -> bool:
    """Whether users, and not a leaving keeper, hold the lock."""
    lock = open_lock(place.users_lock)
    try:
        return not take(lock) and take(lock, shared=True)
    finally:
        os.close(lock)
