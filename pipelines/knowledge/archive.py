"""ZIP archives that strangers packed: read in memory, and counted while they unpack.

Nothing is ever written to disk, so links and names with `..` in them lead nowhere; an archive in
an archive stays packed. What a header says of sizes is not believed.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from pipelines.errors import Permanent

ENTRIES_MAX = 10_000
ENTRY_BYTES_MAX = 300_000_000
TOTAL_BYTES_MAX = 400_000_000
# Honest Office files unpack to 5-50 times their size; below the floor no ratio is a danger.
RATIO_MAX = 200
RATIO_FLOOR_BYTES = 50_000_000

_ENTRY_MARK = b"PK\x01\x02"
_CHUNK_BYTES = 65_536
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, KeyError),
    *(NotImplementedError, OverflowError, RuntimeError),
)


class Archive:
    """The entries of a ZIP; names match without case, for producers do not agree on it.

    `label` begins the messages: "the Word file". All that is read counts towards one total.
    """

    def __init__(self, body: bytes, *, label: str) -> None:
        self.label = label
        self._bytes_read = 0
        self._bytes_max = max(RATIO_FLOOR_BYTES, RATIO_MAX * len(body))
        entries = body.count(_ENTRY_MARK)
        if entries > ENTRIES_MAX:
            raise Permanent(f"{label} holds {entries:,} entries, the limit is {ENTRIES_MAX:,}")
        try:
            self._file = zipfile.ZipFile(io.BytesIO(body))
        except _DAMAGES as error:
            raise self._damage() from error
        self._entries = {_plain_name(entry.filename): entry for entry in self._file.infolist()}

    @property
    def names(self) -> list[str]:
        """The names of all entries, in lower case."""
        return list(self._entries)

    def holds(self, name: str) -> bool:
        return _plain_name(name) in self._entries

    def read(self, name: str, *, bytes_max: int) -> bytes:
        """Unpack a whole entry; raises Permanent when it is missing, damaged or too large."""
        chunks, size = [], 0
        for chunk in self.iterate(name):
            size += len(chunk)
            if size > bytes_max:
                raise Permanent(
                    f"{self.label} is too large: {name:.80} unpacks to more than "
                    f"{bytes_max:,} bytes (the limit)"
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def iterate(self, name: str) -> Iterator[bytes]:
        """Unpack an entry piece by piece."""
        entry = self._entries.get(_plain_name(name))
        if entry is None:
            raise Permanent(f"{self.label} is damaged: its part {name:.80} is missing")
        if entry.flag_bits & _ENCRYPTED:
            raise Permanent(f"{self.label} is encrypted and needs a password to be read")
        if entry.compress_type not in _METHODS:
            raise Permanent(f"{self.label} is packed in a way that cannot be read (not Deflate)")
        size = 0
        try:
            with self._file.open(entry) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    size += len(chunk)
                    self._count(len(chunk), name, size)
                    yield chunk
        except _DAMAGES as error:
            raise self._damage() from error

    def _count(self, chunk_bytes: int, name: str, size: int) -> None:
        self._bytes_read += chunk_bytes
        if size > ENTRY_BYTES_MAX:
            raise Permanent(
                f"{self.label} is too large: {name:.80} unpacks to more than "
                f"{ENTRY_BYTES_MAX:,} bytes (the limit)"
            )
        if self._bytes_read > TOTAL_BYTES_MAX:
            raise Permanent(
                f"{self.label} is too large: it unpacks to more than {TOTAL_BYTES_MAX:,} bytes "
                "(the limit)"
            )
        if self._bytes_read > self._bytes_max:
            raise Permanent(
                f"{self.label} is a ZIP bomb or damaged: it unpacks to more than {RATIO_MAX} "
                "times its size (the limit)"
            )

    def _damage(self) -> Permanent:
        return Permanent(f"{self.label} is damaged or cut off: it cannot be unpacked")


def _plain_name(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()
