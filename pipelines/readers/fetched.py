"""What is remembered of a page or file from the web, and whether a new answer differs from it."""

import hashlib
from typing import Any

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
