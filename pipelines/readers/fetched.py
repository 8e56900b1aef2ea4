"""What is remembered of a page or file from the web, and whether a new answer differs from it."""

import hashlib
import zlib
from typing import Any
from uuid import UUID

from db import crawls
from db.fence import Fence
from pipelines.gateways.fetch import Page
from pipelines.readers.reading import Seen


def has_changed(page: Page, seen: Seen) -> bool:
    """Judge by the bytes: Last-Modified of many sites advances at every request."""
    return not page.unchanged and digest(page.body) != seen.get("body")


def validators(page: Page, seen: Seen) -> dict[str, Any]:
    """What the next conditional request sends, and the hash of the body it is about."""
    body = seen.get("body") if page.unchanged else digest(page.body)
    return {"etag": page.etag, "last_modified": page.last_modified, "body": body}


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def take_crawled(db: Fence, source_id: UUID, url: str) -> Page | None:
    """What the crawler fetched for this source, until it is indexed; it stays for a second try."""
    with db.read() as conn:
        found = crawls.load_fetched(conn, source_id, url=url)
    if found is None:
        return None
    return Page(
        url=found.url,
        body=zlib.decompress(found.body),
        content_type=None,
        charset=None,
        etag=found.seen.get("etag"),
        last_modified=found.seen.get("last_modified"),
        headers={"Content-Type": found.content_type} if found.content_type else {},
    )
