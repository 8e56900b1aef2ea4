"""File locks. The kernel lets go of them whatever happens to the holder, a kill -9 included."""

import fcntl
import os
from pathlib import Path


def open_lock(path: Path) -> int:
    """Open the lock file, not yet locked. A child that is passed the descriptor shares the lock."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def take(lock: int, *, shared: bool = False) -> bool:
    """Lock without waiting. False: somebody else holds it."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def release(lock: int) -> None:
    """Unlock and close, for the forked children that share the lock too."""
    fcntl.flock(lock, fcntl.LOCK_UN)
    os.close(lock)


def is_held(path: Path, *, by_exclusive_holder: bool = False) -> bool:
    """Whether anybody holds the lock now; a momentary look that can make another's `take` fail."""
    if not path.exists():
        return False
    lock = open_lock(path)
    try:
        return not take(lock, shared=by_exclusive_holder)
    finally:
        os.close(lock)


def is_replaced(lock: int, path: Path) -> bool:
    """Whether the file at `path` is no longer the one that was opened: its folder was deleted."""
    try:
        return not os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return True
