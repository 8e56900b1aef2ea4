"""What a mail carries beside its text: template_data.attachments, checked and decoded."""

import base64
import binascii
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.errors import Permanent

# Of all attachments together, decoded. Mail servers commonly take 25 MB, encoded.
ATTACHMENTS_BYTES_MAX = 10_000_000
ATTACHMENTS_MAX = 20
FILENAME_CHARS_MAX = 150

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
# These are made of mails or parts; whoever attaches bytes means a file.
_COMPOSED = ("multipart/", "message/")
_OPAQUE = "application/octet-stream"
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069"
    r'<>:"|?*]'
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a mail. `content_type` is in lower case, without parameters."""

    filename: str
    content_type: str
    content: bytes


def read_attachments(value: Any) -> tuple[Attachment, ...]:
    """Read `[{"filename", "content_type", "content": base64}, ...]`; none for None.

    Raises Permanent that says which attachment is wrong, and how.
    """
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Permanent("template_data.attachments must be a list")
    if len(value) > ATTACHMENTS_MAX:
        raise Permanent(f"the mail has {len(value)} attachments, the limit is {ATTACHMENTS_MAX}")
    for place, each in enumerate(value, start=1):
        if not isinstance(each, dict) or not isinstance(each.get("content"), str):
            raise Permanent(f"attachment {place} must have a filename, and its content in base64")
    # Before anything is decoded, so that what is too large costs no memory.
    check_size(sum(decoded_bytes(each["content"]) for each in value))
    return tuple(_read_one(place, each) for place, each in enumerate(value, start=1))


def check_size(size: int) -> None:
    if size > ATTACHMENTS_BYTES_MAX:
        raise Permanent(
            f"the attachments are {size:,} bytes in all, the limit is {ATTACHMENTS_BYTES_MAX:,}; "
            "send a link to the file instead"
        )


def decoded_bytes(content: str) -> int:
    """How many bytes base64 text stands for; spaces in it count, line breaks do not."""
    chars = len(content) - content.count("\n") - content.count("\r")
    return chars * 3 // 4 - content.rstrip()[-2:].count("=")


def _read_one(place: int, each: Mapping[str, Any]) -> Attachment:
    filename = clean_filename(each.get("filename"))
    try:
        content = base64.b64decode("".join(each["content"].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Permanent(f"attachment {place} ({filename}) is not valid base64") from error
    return Attachment(filename, _content_type(place, each.get("content_type")), content)


def clean_filename(value: Any) -> str:
    """A name that says nothing of folders and breaks no header; "attachment" for none."""
    text = unicodedata.normalize("NFC", value) if isinstance(value, str) else ""
    name = _UNSAFE.sub("", re.split(r"[/\\]", text)[-1]).strip(" .")
    if len(name) <= FILENAME_CHARS_MAX:
        return name or "attachment"
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 10:
        return name[:FILENAME_CHARS_MAX]
    return stem[: FILENAME_CHARS_MAX - len(ending) - 1] + dot + ending


def _content_type(place: int, value: Any) -> str:
    if value is None:
        return _OPAQUE
    kind = value.partition(";")[0].strip().lower() if isinstance(value, str) else ""
    if not _TYPE.fullmatch(kind):
        raise Permanent(
            f"attachment {place} has no valid content_type; an example is application/pdf"
        )
    return _OPAQUE if kind.startswith(_COMPOSED) else kind
