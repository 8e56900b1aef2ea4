"""Where a server keeps what it needs: one folder under AVIVRO_HOME for each server."""

import errno
import hashlib
import json
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from db.embedded.account import Account, postgres_account
from db.embedded.errors import EmbeddedError
from db.embedded.locks import open_lock, release, take

log = logging.getLogger(__name__)

ELSEWHERE = Path("/var/lib/avivro")
SERVERS = ("postgres", "redis")
PREPARE_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Place:
    """One server's folder: its data, log, settings and locks."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def tag(self) -> str:
        """Marks the command lines of the server's processes. A copied folder has another one."""
        return f"avivro-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def settings(self) -> Path:
        return self.folder / "settings.json"

    @property
    def state(self) -> Path:
        """Written by the keeper while its server is up."""
        return self.folder / "state.json"

    @property
    def users_lock(self) -> Path:
        """Held shared by every user, exclusively by a keeper that leaves."""
        return self.folder / "users.lock"

    @property
    def keeper_lock(self) -> Path:
        """Held by the keeper, from before its start to its end."""
        return self.folder / "keeper.lock"

    @property
    def server_lock(self) -> Path:
        """Inherited by the server and its children: free only when all of them are gone."""
        return self.folder / "server.lock"


@dataclass(frozen=True)
class Settings:
    """What is chosen once and kept."""

    password: str
    port: int | None = None
    socket_folder: str | None = None


@dataclass(frozen=True)
class State:
    url: str
    address: str
    pid: int


def prepare_place(home: Path, server: str, account: Account) -> Place:
    """Make the server's folder, private and reachable for the account; safe for several callers."""
    try:
        home = prepare_home(home)
        with hold(home / ".lock"):
            return Place(prepare_folder(home, server, account))
    except OSError as error:
        raise EmbeddedError(
            f"The folder {home} (AVIVRO_HOME) cannot hold the embedded {server}: {reason(error)}. "
            "Make it writable, or set AVIVRO_HOME to a folder of your own."
        ) from error


def find_place(home: Path, server: str) -> Place:
    """The server's folder as it is, whether or not it exists yet."""
    return Place((home.expanduser().absolute() / server).resolve())


def prepare_home(home: Path) -> Path:
    home = home.expanduser().absolute()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_unfit_folder(home)
    try:
        admit_to_folder(postgres_account(), home)
    except OSError:
        # Root without its powers: Redis is content with this, and Postgres says what it lacks.
        home.chmod(0o700)
    return home


def refuse_unfit_folder(home: Path) -> None:
    """Making a system folder private would break the machine, a foreign one the owner's work."""
    status = home.stat()
    if status.st_uid != os.geteuid():
        raise EmbeddedError(
            f"The folder {home} (AVIVRO_HOME) belongs to user id {status.st_uid}, but this is user "
            f"id {os.geteuid()}. Run as its owner, or set AVIVRO_HOME to a folder of your own."
        )
    if not status.st_mode & stat.S_IWUSR:
        raise EmbeddedError(
            f"The folder {home} (AVIVRO_HOME) is read-only. Make it writable (chmod u+w), or set "
            "AVIVRO_HOME to a folder of your own."
        )
    names = {entry.name for entry in home.iterdir()}
    is_system = bool(status.st_mode & stat.S_ISVTX) or len(home.parts) <= 2
    if is_system and names and not names.intersection(SERVERS):
        raise EmbeddedError(
            f"The folder {home} (AVIVRO_HOME) is shared with other programs and cannot be made "
            f"private. Set AVIVRO_HOME to a folder of its own, such as {home / 'avivro'}."
        )


@contextmanager
def hold(path: Path) -> Iterator[None]:
    lock = open_lock(path)
    ends_at = time.monotonic() + PREPARE_TIMEOUT_S
    while not take(lock):
        if time.monotonic() > ends_at:
            raise EmbeddedError(
                f"{path} stayed locked for {PREPARE_TIMEOUT_S:.0f} s: another process hangs while "
                "it prepares the embedded servers. End it and try again."
            )
        time.sleep(0.02)
    try:
        yield
    finally:
        release(lock)


def prepare_folder(home: Path, server: str, account: Account) -> Path:
    folder = home / server
    if folder.is_symlink():
        return follow(folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    account.check()
    if can_use(account, folder):
        return folder
    if any(folder.iterdir()):
        raise EmbeddedError(
            f"{folder} holds the embedded {server}, but the user `nobody`, as whom it runs for "
            "root, can no longer enter it. Let `nobody` pass the folders above it (chmod o+x)."
        )
    return move_elsewhere(folder, account)


def follow(link: Path) -> Path:
    folder = link.resolve()
    if not folder.is_dir():
        raise EmbeddedError(
            f"{link} points to {folder}, which is gone, and the data with it. Restore that folder, "
            f"or remove the link to begin with an empty server."
        )
    return folder


def can_use(account: Account, folder: Path) -> bool:
    try:
        admit_to_folder(account, folder)
    except OSError:
        return False
    return account.can_enter(folder)


def admit_to_folder(account: Account, folder: Path) -> None:
    """Private, but as root the group of `nobody` may pass through, to its own data inside."""
    account.admit(folder, mode=0o700 if account.gid is None else 0o710)


def move_elsewhere(folder: Path, account: Account) -> Path:
    """A random name: a new checkout at the same path must not meet the old one's data."""
    target = ELSEWHERE / secrets.token_hex(8)
    ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
    ELSEWHERE.chmod(0o755)
    target.mkdir(mode=0o700)
    if not can_use(account, target):
        target.rmdir()
        raise EmbeddedError(
            f"Root runs the embedded Postgres as the user `nobody`, who can enter neither {folder} "
            f"nor {ELSEWHERE}. Set AVIVRO_HOME to a folder that `nobody` can reach."
        )
    (target / "home").write_text(f"{folder}\n")
    folder.rmdir()
    folder.symlink_to(target)
    log.warning("the user `nobody` cannot enter %s: Postgres keeps its data in %s", folder, target)
    return target


def load_settings(place: Place) -> Settings:
    """Read the settings; new ones where there are none, or half of some."""
    try:
        return Settings(**json.loads(place.settings.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        fresh = Settings(password=secrets.token_hex(24))
        save(place.settings, fresh)
        return fresh


def change_settings(place: Place, settings: Settings, **changes: int | str | None) -> Settings:
    changed = replace(settings, **changes)  # type: ignore[arg-type]
    save(place.settings, changed)
    return changed


def load_state(place: Place) -> State | None:
    try:
        return State(**json.loads(place.state.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def save(path: Path, record: Settings | State) -> None:
    """Replace the file whole, readable by its owner alone."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    target = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(target, "w") as stream:
        json.dump(asdict(record), stream)
        stream.flush()
        os.fsync(target)
    new.replace(path)


def remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def reason(error: OSError) -> str:
    """The system's words for it, with the path they are about."""
    words = os.strerror(error.errno) if error.errno else str(error)
    if error.errno == errno.ENOSPC:
        words = "the disk is full"
    return f"{words} ({error.filename})" if error.filename else words
