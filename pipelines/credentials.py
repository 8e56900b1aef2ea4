"""What a customer entered to sign in elsewhere, and how it is kept out of messages."""

import base64
import json
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

from pipelines.errors import JobError, Permanent

# A shorter one would be found in words, and no server takes it.
SECRET_CHARS_MIN = 4
HIDDEN = "[secret]"
# Names, not secrets: messages may tell the customer which account is meant.
PUBLIC_NAMES = frozenset(
    {"type", "client_email", "client_id", "project_id", "token_uri", "auth_uri", "user", "username"}
    | {"auth_provider_x509_cert_url", "client_x509_cert_url", "universe_domain", "email"}
)


@dataclass(frozen=True)
class Credentials:
    """The object that set_source_credentials was given. Its repr shows nothing of it."""

    values: Mapping[str, Any] = field(repr=False)

    def text(self, name: str) -> str:
        """One of its texts; raises Permanent where it is missing."""
        value = self.values.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value.strip():
            raise Permanent(f'the credentials of this source hold no "{name}"')
        return value.strip()

    @cached_property
    def _forms(self) -> tuple[str, ...]:
        """Every way in which a secret may turn up in a message, longest first."""
        forms = {form for secret in _leaves("", self.values) for form in _spell(secret)}
        return tuple(sorted(forms, key=len, reverse=True))

    def redact(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def redact_bytes(self, body: bytes) -> bytes:
        """The same in what a server answered."""
        for form in self._forms:
            body = body.replace(form.encode(), HIDDEN.encode())
        return body

    def show_in(self, text: str) -> bool:
        return any(form in text for form in self._forms)

    def cleaned(self, error: Exception) -> Exception:
        """The error to raise instead: a JobError without causes, a bug as it is if it is clean."""
        if isinstance(error, JobError):
            return _retold(error, self.redact(str(error)))
        trace = "".join(traceback.format_exception(error))
        if not self.show_in(trace):
            return error
        return RuntimeError(f"{type(error).__name__}, whose message held a secret")


def _leaves(name: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(str(key), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(name, inner)
    elif isinstance(value, str | int) and name not in PUBLIC_NAMES:
        yield str(value).strip()


def _spell(secret: str) -> Iterator[str]:
    if len(secret) < SECRET_CHARS_MIN:
        return
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode()


def _retold(error: JobError, text: str) -> JobError:
    """The same kind of failure with another text, and without what led to it."""
    told = error.__class__.__new__(error.__class__)
    told.__dict__.update(error.__dict__)
    told.args = (text,)
    return told
