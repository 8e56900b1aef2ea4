"""Credentials of sources: sealed at rest, opened for one reading, kept out of what is said."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from db import credentials
from db.credentials import Stored, StoredFor
from db.fence import Fence
from db.pool import Connection
from pipelines.credentials import Credentials
from pipelines.errors import Misconfigured
from pipelines.sealing import Keyring, SealError, UnknownSealError

ROWS_AT_ONCE = 100

log = logging.getLogger(__name__)

T = TypeVar("T")


class Vault:
    """Without a key nothing can be kept: a source that has credentials is refused."""

    def __init__(self, keyring: Keyring | None = None) -> None:
        self._keyring = keyring or Keyring()

    def unlock(self, db: Fence, source_id: UUID) -> Credentials | None:
        """What was set for the source, or None; what lies in the clear is sealed first."""
        while (stored := self._load(db, source_id)) is not None and stored.sealed is None:
            values = stored.credentials or {}
            sealed = self._seal_or_refuse(source_id, values)
            with db.write() as conn:
                done = credentials.seal_credentials(
                    conn, source_id, sealed=sealed, updated_at=stored.updated_at
                )
            # Not sealed and not changed: new ones are being set, and their commit runs us again.
            if done or self._load(db, source_id) == stored:
                return Credentials(values)
        if stored is None or stored.sealed is None:
            return None
        return Credentials(self._open_or_refuse(source_id, stored.sealed))

    def _load(self, db: Fence, source_id: UUID) -> Stored | None:
        with db.read() as conn:
            stored = credentials.load_credentials(conn, source_id)
        return None if stored is None or stored.credentials == {} else stored

    def _seal_or_refuse(self, source_id: UUID, values: Mapping[str, Any]) -> bytes:
        try:
            return self._keyring.seal(source_id, values)
        except SealError as error:
            raise _refusal(source_id, error) from error

    def _open_or_refuse(self, source_id: UUID, sealed: bytes) -> dict[str, Any]:
        try:
            return self._keyring.open(source_id, sealed)
        except SealError as error:
            raise _refusal(source_id, error) from error


def _refusal(source_id: UUID, error: SealError) -> Misconfigured:
    log.error("the credentials of source %s cannot be used: %s", source_id, error)
    return Misconfigured(
        "the credentials of this source cannot be used just now, because of how this installation "
        "is set up: its operator has to check CREDENTIALS_KEY. Your content stays searchable."
    )


def keep_secret(credentials: Credentials | None, read: Callable[[], T]) -> T:
    """Run `read`; what it raises says nothing of the credentials, nor do its causes."""
    if credentials is None:
        return read()
    try:
        return read()
    except Exception as error:
        if (failure := credentials.cleaned(error)) is error:
            raise
    # Outside of the handler: an exception raised in there would carry the first one along.
    raise failure


@dataclass(frozen=True, slots=True)
class Rotation:
    """How many were sealed anew, had been already, and the sources whose do not open."""

    sealed: int
    current: int
    unreadable: tuple[UUID, ...]


def rotate(conn: Connection, keyring: Keyring) -> Rotation:
    """Seal with the newest key whatever is not yet; on an autocommitting connection.

    Raises SealError without a key.
    """
    sealed, current, unreadable = 0, 0, []
    after: UUID | None = None
    while rows := credentials.list_credentials(conn, after=after, rows_max=ROWS_AT_ONCE):
        for row in rows:
            try:
                new = renewed(row, keyring)
            except UnknownSealError:
                unreadable.append(row.source_id)
                continue
            if new is None:
                current += 1
            elif credentials.reseal_credentials(conn, row, sealed=new):
                sealed += 1
        after = rows[-1].source_id
    return Rotation(sealed, current, tuple(unreadable))


def renewed(row: StoredFor, keyring: Keyring) -> bytes | None:
    """What the row shall hold instead; None where nothing is to be done."""
    if row.sealed is None:
        return keyring.seal(row.source_id, row.credentials or {})
    if keyring.is_newest(row.sealed):
        return None
    return keyring.seal(row.source_id, keyring.open(row.source_id, row.sealed))
