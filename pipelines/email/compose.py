"""A mail as bytes on the wire: RFC 5322, in 7 bits, no line longer than 998 bytes."""

import email.policy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime, quote
from uuid import UUID

from pipelines.email.address import Address, read_words
from pipelines.email.attachments import Attachment
from pipelines.errors import Permanent

SUBJECT_CHARS_MAX = 500
BODY_CHARS_MAX = 2_000_000
LINE_BYTES_MAX = 998
FOLD_CHARS = 76

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_LINE_BREAK = re.compile(r"\r\n|\r|\u2028|\u2029|\x85")
_RAW_HEADER = re.compile(r"[\x20-\x7e]*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to one recipient. `headers` are ours: printable ASCII, written as they are."""

    message_id: str
    sender: Address
    recipient: Address
    subject: str
    html: str
    text: str
    reply_to: Address | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()

    @property
    def needs_utf8(self) -> bool:
        return any(a.needs_utf8 for a in (self.sender, self.recipient, self.reply_to) if a)


def make_message_id(email_id: UUID, number: int, domain: str) -> str:
    """The same for every attempt of a sending: mailboxes show what arrives twice once."""
    return f"<{email_id}@{domain}>" if number == 1 else f"<{email_id}.{number}@{domain}>"


def clean_subject(subject: str) -> str:
    """One line: line breaks and control characters become a space, so they start no header."""
    flat = read_words(subject)
    if len(flat) <= SUBJECT_CHARS_MAX:
        return flat
    return flat[: SUBJECT_CHARS_MAX - 1] + "\N{HORIZONTAL ELLIPSIS}"


def clean_body(text: str) -> str:
    """Line breaks of one kind, nothing that mail programs choke on."""
    return _CONTROL.sub("", _LINE_BREAK.sub("\n", text))


def compose(letter: Letter, *, now: datetime) -> bytes:
    """The whole mail with CRLF line ends. Raises Permanent for one that is too long."""
    for name, body in (("HTML", letter.html), ("text", letter.text)):
        if len(body) > BODY_CHARS_MAX:
            raise Permanent(
                f"the {name} of the mail is {len(body):,} characters, the limit is "
                f"{BODY_CHARS_MAX:,}"
            )
    return b"".join(_headers(letter, now)) + _content(letter).as_bytes()


def _headers(letter: Letter, now: datetime) -> Iterator[bytes]:
    """The library's own folding loses spaces of long subjects, and encodes long links."""
    yield _people("From", letter.sender)
    yield _people("To", letter.recipient)
    if letter.reply_to is not None:
        yield _people("Reply-To", letter.reply_to)
    yield f"Subject: {encode_words(letter.subject, 'Subject')}\r\n".encode("ascii")
    raw = {
        "Date": format_datetime(now.astimezone(UTC)),
        "Message-ID": letter.message_id,
        "Auto-Submitted": "auto-generated",
        **letter.headers,
    }
    for name, value in raw.items():
        yield _raw_header(name, value)


def _people(header: str, address: Address) -> bytes:
    """Only where a local part needs it does UTF-8 stand in a header as it is (RFC 6532)."""
    name = encode_name(address.name, header) if address.name else ""
    line = f"{header}: {name} <{address.spec}>" if name else f"{header}: {address.spec}"
    if len(line.rpartition("\n")[2]) > FOLD_CHARS and name:
        line = f"{header}: {name}\r\n <{address.spec}>"
    return line.encode() + b"\r\n"


def encode_name(name: str, header: str) -> str:
    """A display name: as it is, in quotes, or in encoded words."""
    if not name.isascii() or len(name) > FOLD_CHARS - len("Reply-To: "):
        return encode_words(name, header, always=True)
    return name if _PLAIN_NAME.fullmatch(name) else f'"{quote(name)}"'


def encode_words(text: str, header: str, *, always: bool = False) -> str:
    """Text of a header, folded; in encoded words (RFC 2047) where it is not plain ASCII."""
    longest = max((len(word) for word in text.split(" ")), default=0)
    is_plain = text.isascii() and longest < FOLD_CHARS - len("Subject: ") and not always
    charset = "us-ascii" if is_plain else "utf-8"
    return Header(text, charset, header_name=header, maxlinelen=FOLD_CHARS).encode(linesep="\r\n")


def _raw_header(name: str, value: str) -> bytes:
    line = f"{name}: {value}"
    if not _RAW_HEADER.fullmatch(line) or len(line) > LINE_BYTES_MAX:
        raise ValueError(f"{name} is no header line of printable ASCII: {value[:80]!a}")
    return line.encode("ascii") + b"\r\n"


def _content(letter: Letter) -> EmailMessage:
    """The MIME tree, its own headers alone."""
    message = EmailMessage(policy=email.policy.SMTP.clone(cte_type="7bit"))
    message.set_content(clean_body(letter.text))
    if letter.html:
        message.add_alternative(clean_body(letter.html), subtype="html")
    for each in letter.attachments:
        maintype, _, subtype = each.content_type.partition("/")
        message.add_attachment(
            each.content, maintype=maintype, subtype=subtype, filename=each.filename
        )
    return message
