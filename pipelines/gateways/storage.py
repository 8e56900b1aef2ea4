"""Files in Supabase Storage: private ones with the service key, which goes nowhere else."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote
from uuid import UUID

from yarl import URL

from pipelines.errors import Permanent, Transient
from pipelines.gateways.adapters import Sender
from pipelines.gateways.addresses import Egress
from pipelines.gateways.api import etag_of
from pipelines.gateways.fetch import FETCH_DEADLINE_S, FILE_BYTES_MAX
from pipelines.gateways.http import Client, Request, Response
from pipelines.gateways.http_failures import BUSY_STATUSES, parse_retry_after

SCHEME = "storage://"
OBJECTS = "/storage/v1/object/"
# How an object's address says who may read it; addresses without one are private too.
ACCESSES = ("public", "sign", "authenticated")
PATH_CHARS_MAX = 1_024

_BUCKET = re.compile(r"[\w.!'()*&$@=;:+,? -]{1,100}", re.ASCII)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """`access` is how its address was written: "public", "sign" or "authenticated"."""

    bucket: str
    path: tuple[str, ...]
    access: str

    @property
    def name(self) -> str:
        return self.path[-1]

    def belongs_to(self, *owners: UUID) -> bool:
        """Whether it lies in a folder of one of these, in whatever bucket."""
        return len(self.path) > 1 and self.path[0].lower() in {str(owner) for owner in owners}


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a storage. Unchanged: `body` is empty, and it is what `etag` stands for."""

    body: bytes
    content_type: str | None
    etag: str | None
    unchanged: bool = False


class Storage:
    """The storage of one Supabase project; without `key` it reads nothing private.

    The operator named its address, so it may be a private one: its client reaches no other.
    """

    def __init__(self, url: str, key: str | None, *, client: Sender | None = None) -> None:
        self._origin = URL(url).origin()
        self._base = f"{self._origin!s}{URL(url).raw_path.rstrip('/')}"
        self._key = _Key(key)
        self._client = client or Client(
            Egress.parse(f"{_bracketed(self._origin)}:{self._origin.port}")
        )

    @property
    def has_key(self) -> bool:
        return self._key.value is not None

    def find(self, address: str) -> StoredObject | None:
        """Which object `address` names; None where it is no address of this storage.

        Raises Permanent for a name that no object can have.
        """
        if address.startswith(SCHEME):
            return _named(address.removeprefix(SCHEME), "authenticated")
        try:
            url = URL(address, encoded=True)
            is_ours = url.origin() == self._origin and not url.user and not url.password
        except ValueError:
            return None
        prefix = URL(self._base).raw_path.rstrip("/") + OBJECTS
        if not is_ours or not url.raw_path.startswith(prefix):
            return None
        access, _, rest = url.raw_path.removeprefix(prefix).partition("/")
        if access in ACCESSES:
            return _named(rest, access)
        return _named(f"{access}/{rest}", "authenticated")

    def read(self, found: StoredObject, *, etag: str | None = None) -> Blob:
        """Read an object with the service key; raises Permanent or Transient."""
        if self._key.value is None:
            raise Permanent(
                "this file is private, and this installation cannot read private files of the "
                "storage: its operator has to set SUPABASE_SERVICE_ROLE_KEY"
            )
        steps = "/".join(quote(step, safe="") for step in (found.bucket, *found.path))
        headers = {"Authorization": f"Bearer {self._key.value}", "apikey": self._key.value}
        if etag:
            headers["If-None-Match"] = etag
        request = Request(
            f"{self._base}{OBJECTS}authenticated/{steps}",
            headers=headers,
            deadline_s=FETCH_DEADLINE_S,
            body_bytes_max=FILE_BYTES_MAX,
        )
        response = self._client.request(request)
        if response.status == 304 and etag:
            return Blob(b"", None, etag, unchanged=True)
        if response.status != 200:
            raise refusal(found, response)
        return Blob(response.body, response.headers.get("Content-Type"), etag_of(response))


@dataclass(frozen=True, slots=True)
class _Key:
    value: str | None = field(repr=False)


def _bracketed(origin: URL) -> str:
    host = origin.raw_host or ""
    return f"[{host}]" if ":" in host else host


def _named(path: str, access: str) -> StoredObject:
    """Decode once, then take every step by its name: no step leads upwards."""
    try:
        bucket, *steps = (unquote(step, errors="strict") for step in path.split("/"))
    except UnicodeDecodeError:
        bucket, steps = "", []
    text = "/".join([bucket, *steps])
    is_plain = all(step not in ("", ".", "..") and "/" not in step for step in (bucket, *steps))
    if (
        not steps
        or not is_plain
        or not _BUCKET.fullmatch(bucket)
        or _UNSAFE.search(text)
        or len(text) > PATH_CHARS_MAX
    ):
        raise Permanent(f"{path[:200]!r} names no file of the storage: bucket/folder/file is asked")
    return StoredObject(bucket, tuple(steps), access)


def refusal(found: StoredObject, response: Response) -> Permanent | Transient:
    """What an answer that is no success means; the storage hides "404" in a body of status 400."""
    name, status = f"the file {found.name} of the storage", _status(response)
    if status == 404:
        return Permanent(f"{name} was not found: it was moved or deleted")
    if status in BUSY_STATUSES or status >= 500:
        wait_s = parse_retry_after(response.headers.get("Retry-After"), now=datetime.now(UTC))
        return Transient(f"{name} cannot be read right now (HTTP {status})", retry_after_s=wait_s)
    if status in (401, 403):
        return Permanent(
            f"{name} could not be read: the storage refuses this installation's key; its operator "
            "has to check SUPABASE_SERVICE_ROLE_KEY"
        )
    return Permanent(f"{name} could not be read: the storage answered with HTTP {status}")


def _status(response: Response) -> int:
    if response.status != 400:
        return response.status
    try:
        inner = json.loads(response.body)
        return int(inner["statusCode"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return 400
