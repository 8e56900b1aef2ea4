"""What Google Drive's refusals mean for a source; nothing of their text is repeated."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.errors import Permanent, Transient
from pipelines.gateways.http import Response
from pipelines.gateways.http_failures import parse_retry_after
from pipelines.gateways.patience import BusyError


class NotFoundError(Permanent):
    """Not there, or not shared with the account: Drive tells no difference."""


class UnreadableError(Permanent):
    """This one file cannot be had in this form; the others can."""


class ExpiredError(Permanent):
    """A page token that Drive does not know any more: everything has to be listed again."""


SIGN_IN = (
    "Google refuses the credentials of this source: they expired or were revoked. Please sign in "
    "again, or enter a current key"
)
NOT_SHARED = (
    "a folder or file is not in Google Drive any more, or not shared with the account of this "
    "source: share it with that account"
)
# A status of 403 has many meanings; these reasons tell them apart.
BUSY_REASONS = frozenset(
    {"userRateLimitExceeded", "rateLimitExceeded", "sharingRateLimitExceeded", "quotaExceeded"}
    | {"dailyLimitExceeded", "backendError", "internalError"}
)
UNREADABLE: Mapping[str, str] = {
    "exportSizeLimitExceeded": "it is larger than Google exports (10 MB)",
    "fileNotExportable": "Google cannot export it",
    "cannotExportFile": "its owner does not allow exporting it",
    "cannotDownloadFile": "its owner does not allow downloading it",
    "fileNotDownloadable": "it has no content that can be downloaded",
    "cannotDownloadAbusiveFile": "Google considers it harmful",
    "badRequest": "Google does not give it in this form",
    "invalid": "Google does not give it in this form",
    "conversionUnsupportedConversionPath": "Google cannot export it",
}
SETUP: Mapping[str, str] = {
    "accessNotConfigured": "the Google Drive API is switched off in the Google Cloud project of "
    "these credentials: switch it on there",
    "insufficientPermissions": "these credentials may not read Google Drive: they need the scope "
    "drive.readonly",
    "domainPolicy": "the administrator of this Google domain has switched Drive apps off",
}


def translate(response: Response) -> Permanent | Transient:
    """An answer that is no success."""
    status, reason = response.status, _reason(response.body)
    if status in (408, 429) or status >= 500 or (status == 403 and reason in BUSY_REASONS):
        wait_s = parse_retry_after(response.headers.get("Retry-After"), now=datetime.now(UTC))
        return BusyError(f"Google Drive is busy (HTTP {status})", retry_after_s=wait_s)
    if status == 401:
        return Permanent(SIGN_IN)
    if status == 404:
        return NotFoundError(NOT_SHARED)
    if status == 410:
        return ExpiredError("Google Drive has forgotten where the last reading ended")
    if reason in SETUP:
        return Permanent(SETUP[reason])
    if status in (400, 403) and reason in UNREADABLE:
        return UnreadableError(UNREADABLE[reason])
    if status == 403:
        return UnreadableError("the account of this source may not read it")
    return Permanent(f"Google Drive refused the request as wrong (HTTP {status})")


def _reason(body: bytes) -> str:
    """The word of Google's error, "" where the body holds none."""
    try:
        error: Any = json.loads(body)["error"]
        return str(error["errors"][0]["reason"])
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return ""
