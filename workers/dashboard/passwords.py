"""Passwords of operators: argon2id, judged in the same time whether the name exists or not.

Each hash takes 64 MiB and 0.1 s of a processor, so few are made at once and few may wait.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from workers.dashboard.forms import Refused

# NIST SP 800-63B: length counts, mixtures do not.
CHARS_MIN = 12
CHARS_MAX = 1_000
ONE_TIME_BYTES = 18
AT_ONCE_MAX = 2
WAITING_MAX = 8
WAIT_S = 5.0


class Busy(Refused):
    """Too many passwords are being judged."""

    def __init__(self) -> None:
        super().__init__("Many sign in at once: try again in a moment.", status=503)


class Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._waiting = BoundedSemaphore(AT_ONCE_MAX + WAITING_MAX)
        self._working = BoundedSemaphore(AT_ONCE_MAX)
        # Nobody's, so that a name that does not exist costs the same.
        self._nobodys = self._hasher.hash(secrets.token_urlsafe())

    def hash(self, password: str) -> str:
        with self._turn():
            return self._hasher.hash(encode(password))

    def is_right(self, password_hash: str | None, password: str) -> bool:
        """None stands for somebody without a password: never right, and as slow to say."""
        with self._turn():
            try:
                right = self._hasher.verify(password_hash or self._nobodys, encode(password))
            except (VerificationError, InvalidHashError):
                return False
        return right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Raises Busy rather than let the threads that answer pages wait in a row."""
        if not self._waiting.acquire(blocking=False):
            raise Busy
        try:
            if not self._working.acquire(timeout=WAIT_S):
                raise Busy
            try:
                yield
            finally:
                self._working.release()
        finally:
            self._waiting.release()


def check_new(password: str, *, name: str) -> None:
    """Raises Refused for one that is too short, too long, or guessed at once."""
    if len(password) < CHARS_MIN:
        raise Refused(f"The password has {len(password)} characters; {CHARS_MIN} are needed.")
    if len(password) > CHARS_MAX:
        raise Refused(f"The password is longer than {CHARS_MAX} characters.")
    if password.strip().casefold() == name.casefold():
        raise Refused("The password is the name itself: choose another.")
    if len(set(password)) == 1:
        raise Refused("The password is one character over and over: choose another.")


def make_one_time() -> str:
    """Random, for one sign-in."""
    return secrets.token_urlsafe(ONE_TIME_BYTES)


def encode(password: str) -> bytes:
    """What was typed may hold lone surrogates; it is judged all the same."""
    return password[: CHARS_MAX + 1].encode("utf-8", "surrogatepass")
