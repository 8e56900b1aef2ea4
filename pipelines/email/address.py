"""Addresses as people write them, and as a mail's envelope and header take them."""

import re
import unicodedata
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header

import idna

from pipelines.errors import Permanent

ADDRESS_BYTES_MAX = 254
LOCAL_BYTES_MAX = 64
NAME_CHARS_MAX = 200
FIELD_CHARS_MAX = 1_000
SHOWN_CHARS_MAX = 80

# Line breaks start headers of their own; overrides of direction make an address look like another.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufff0-\ufffb]"
)
# In a name they join letters or emoji; in an address nobody sees them.
_INVISIBLE = re.compile(r"[\u00ad\u061c\u180e\u200b-\u200f\u2060-\u2064\ufeff]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\ud7ff\ue000-\U0010ffff-]+")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_ESCAPE = re.compile(r'(["\\])')


@dataclass(frozen=True, slots=True)
class Address:
    """`local` as it stands before the @, quotes included; `domain` in punycode."""

    local: str
    domain: str
    name: str = ""

    @property
    def spec(self) -> str:
        """The bare address."""
        return f"{self.local}@{self.domain}"

    @property
    def needs_utf8(self) -> bool:
        """Whether only a server with SMTPUTF8 can take it."""
        return not self.local.isascii()


def parse_address(text: str) -> Address:
    """Read one address, with or without a display name: `Jane <jane@example.com>`.

    Raises Permanent that says what is wrong with it.
    """
    if _UNSAFE.search(text.strip(" \t")):
        raise _refused(text, "holds a line break, a control character or a mark of direction")
    text = text.strip()
    if not text:
        raise Permanent("the email address is empty")
    if len(text) > FIELD_CHARS_MAX:
        raise _refused(text, f"is {len(text):,} characters, the limit is {FIELD_CHARS_MAX:,}")
    name, bare = _split_name(text)
    if _INVISIBLE.search(bare):
        raise _refused(text, "holds an invisible character")
    local, domain = _split_at(text, bare)
    address = Address(_checked_local(text, local), _checked_domain(text, domain), name)
    size = len(address.spec.encode())
    if size > ADDRESS_BYTES_MAX:
        raise _refused(text, f"is {size} bytes long, the limit is {ADDRESS_BYTES_MAX}")
    return address


def _split_name(text: str) -> tuple[str, str]:
    """(display name, what stands between the angle brackets, or all where there are none)."""
    blanked = _QUOTED.sub(lambda match: "q" * len(match[0]), text)
    if "<" not in blanked and ">" not in blanked:
        return "", text
    start = blanked.find("<")
    if blanked.count("<") > 1 or "@" in blanked[: max(start, 0)]:
        raise _several(text)
    if start < 0 or not blanked.endswith(">") or blanked.count(">") > 1:
        raise _refused(text, "has angle brackets that do not match")
    return _read_name(text[:start].strip()), text[start + 1 : -1].strip()


def _read_name(written: str) -> str:
    unquoted = _QUOTED.sub(lambda match: re.sub(r"\\(.)", r"\1", match[1]), written)
    return read_words(unquoted)[:NAME_CHARS_MAX].strip()


def read_words(written: str) -> str:
    """Header text on one line, and as itself where a caller encoded it (RFC 2047) already."""
    try:
        text = str(make_header(decode_header(written))) if "=?" in written else written
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        text = written
    flat = " ".join(_UNSAFE.sub(" ", unicodedata.normalize("NFC", text)).split())
    # What is encoded twice would be decoded by the reader, whatever is in it.
    return flat.replace("=?", "= ?")


def _split_at(text: str, bare: str) -> tuple[str, str]:
    blanked = _QUOTED.sub(lambda match: "q" * len(match[0]), bare)
    if blanked.count("@") > 1 or re.search(r"[,;]", blanked):
        raise _several(text)
    local, at, domain = blanked.rpartition("@")
    if not at:
        raise _refused(text, "has no @")
    return bare[: len(local)], domain


def _checked_local(text: str, local: str) -> str:
    local = unicodedata.normalize("NFC", local)
    if not local:
        raise _refused(text, "has nothing before the @")
    if quoted := _QUOTED.fullmatch(local):
        local = _plain_or_quoted(re.sub(r"\\(.)", r"\1", quoted[1]))
    elif not all(_ATOM.fullmatch(atom) for atom in local.split(".")):
        raise _refused(text, "has characters or dots before the @ that are not allowed there")
    if len(local.encode()) > LOCAL_BYTES_MAX:
        raise _refused(
            text, f"has {len(local.encode())} bytes before the @, the limit is {LOCAL_BYTES_MAX}"
        )
    return local


def _plain_or_quoted(local: str) -> str:
    """Quotes only where they are needed: servers compare the bytes."""
    if local and all(_ATOM.fullmatch(atom) for atom in local.split(".")):
        return local
    return '"' + _ESCAPE.sub(r"\\\1", local) + '"'


def _checked_domain(text: str, domain: str) -> str:
    if not domain:
        raise _refused(text, "has nothing after the @")
    try:
        ascii_domain = idna.encode(domain.removesuffix("."), uts46=True).decode().lower()
    except (idna.IDNAError, UnicodeError):
        ascii_domain = domain.lower()
    labels = ascii_domain.split(".")
    if len(ascii_domain) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(text, "has no valid domain after the @")
    if labels[-1].isdigit():
        raise _refused(text, "has a number after the @ where a domain belongs")
    return ascii_domain


def _several(text: str) -> Permanent:
    return _refused(text, "holds several addresses; a mail goes to one")


def _refused(text: str, problem: str) -> Permanent:
    return Permanent(f"the email address {_shown(text)} {problem}")


def _shown(text: str) -> str:
    """Short, and without what made it unsafe: this goes to rows, logs and pages."""
    clean = _INVISIBLE.sub("\ufffd", _UNSAFE.sub("\ufffd", text))
    return f'"{clean[:SHOWN_CHARS_MAX]}{"..." if len(clean) > SHOWN_CHARS_MAX else ""}"'
