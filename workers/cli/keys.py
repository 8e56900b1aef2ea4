"""Single keys of whoever sits at the terminal, while a command goes on drawing."""

import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIT = "q"

Wait = Callable[[float], bool]


@contextmanager
def watching_keys() -> Iterator[Wait]:
    """A wait of so many seconds; True when `q` was pressed. Without a terminal it only waits."""
    try:
        import termios
        import tty
    except ImportError:  # Not on Windows.
        yield wait_only
        return
    if not sys.stdin.isatty():
        yield wait_only
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield wait_for_key
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def wait_only(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def wait_for_key(seconds: float) -> bool:
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        if not select.select([sys.stdin], [], [], left_s)[0]:
            break
        # Nothing is read where the terminal has gone: there will never be a key.
        if sys.stdin.read(1) in (QUIT, ""):
            return True
    return False
