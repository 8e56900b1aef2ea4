"""What can go wrong between us and a mail provider, and what follows: tested tables, no I/O."""

import errno
import re
import socket
import ssl
from collections.abc import Mapping
from typing import Literal

from pipelines.errors import JobError, Permanent, Transient
from pipelines.gateways.http_failures import HttpFailure

Stage = Literal["connect", "greet", "tls", "sign in", "sender", "recipient", "content"]

REPLY_CHARS_MAX = 500
# Greylisting servers take a mail that is tried again after a while; most say a few minutes.
GREYLIST_S = 60.0
GREYLIST_S_MAX = 3_600.0
BUSY_S = 5.0

STAGE_WORDS: Mapping[Stage, str] = {
    "connect": "refused the connection",
    "greet": "refused our greeting",
    "tls": "refused to encrypt",
    "sign in": "refused our user name or password",
    "sender": "refused the sender's address",
    "recipient": "refused the recipient's address",
    "content": "refused the mail",
}
# What no recipient and no template can be the reason of.
OPERATOR_STAGES: frozenset[Stage] = frozenset({"connect", "greet", "tls", "sign in"})
# Authentication required, or of another kind: whatever the stage.
OPERATOR_CODES = frozenset({530, 534, 535, 538})

_GREYLIST = re.compile(r"(?i)gr[ea]y-?list|try again (?:in|after)|postgrey")
_WAIT = re.compile(
    r"(?i)(?:in|after|wait|for)\s+(\d{1,5})\s*(s\b|sec\w*|m\b|min\w*)|\b(\d{1,5})\s*sec\w*"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


class MailRefused(Permanent):
    """The provider will not take this mail, however often it is asked."""


class MailDelayed(Transient):
    """Not now. `by_operator`: somebody has to mend the settings first. `limited`: we ask too
    often. `maybe_taken`: the provider may have it, and will know the same request again.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        by_operator: bool = False,
        limited: bool = False,
        maybe_taken: bool = False,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.by_operator = by_operator
        self.limited = limited
        self.maybe_taken = maybe_taken


class MailUncertain(JobError):
    """The provider may have it or not, and a second copy would be a second mail."""


MailFailure = MailRefused | MailDelayed | MailUncertain


def smtp_failure(stage: Stage, code: int, reply: str) -> MailRefused | MailDelayed:
    """What a reply means that is not the hoped-for one. Never asked after an accepted mail."""
    shown = f"{code} {shorten(reply)}" if code > 0 else shorten(reply)
    message = f"the mail server {STAGE_WORDS[stage]}: {shown}"
    if 500 <= code < 600:
        if stage in OPERATOR_STAGES or code in OPERATOR_CODES:
            return MailDelayed(message, by_operator=True)
        return MailRefused(message)
    if 400 <= code < 500:
        return MailDelayed(message, retry_after_s=greylist_wait_s(stage, reply))
    return MailDelayed(f"the mail server does not speak SMTP: {shown}", by_operator=code > 0)


def greylist_wait_s(stage: Stage, reply: str) -> float | None:
    """None where the reply is not of greylisting."""
    if stage not in ("recipient", "content") or not _GREYLIST.search(reply):
        return None
    found = _WAIT.search(reply)
    if found is None:
        return GREYLIST_S
    in_minutes = (found[2] or "s").lower().startswith("m")
    asked_s = float(found[1] or found[3]) * (60 if in_minutes else 1)
    return min(max(asked_s, GREYLIST_S), GREYLIST_S_MAX)


def network_failure(error: OSError, host: str) -> MailDelayed:
    """What the system says of a connection that failed before anything was handed over."""
    match error:
        case ssl.SSLCertVerificationError():
            why = getattr(error, "verify_message", "") or "it cannot be verified"
            return MailDelayed(f"{host} has no valid certificate: {why}", by_operator=True)
        case ssl.SSLError():
            why = getattr(error, "reason", None) or error
            return MailDelayed(f"no secure connection to {host}: {why}")
        case socket.gaierror():
            known = error.errno == socket.EAI_NONAME
            words = "does not exist (no DNS entry)" if known else "could not be looked up"
            return MailDelayed(f"the mail server {host} {words}", by_operator=known)
        case TimeoutError():
            return MailDelayed(f"the mail server {host} did not answer in time")
        case ConnectionRefusedError():
            return MailDelayed(f"the mail server {host} refused the connection")
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return MailDelayed(f"the mail server {host} cannot be reached")
    return MailDelayed(f"the connection to the mail server {host} broke")


def file_failure(error: OSError, folder: str) -> MailDelayed:
    """A folder that cannot be written to is the operator's to mend; no mail is lost by it."""
    return MailDelayed(
        f"mails cannot be written to {folder}: {error.strerror or error}", by_operator=True
    )


RESEND_WORDS: Mapping[str, str] = {
    "daily_quota_exceeded": "its daily quota is used up",
    "monthly_quota_exceeded": "its monthly quota is used up",
    "rate_limit_exceeded": "we ask it too often",
}
QUOTA_S = 3_600.0


def resend_failure(
    status: int, name: str, message: str, *, retry_after_s: float | None
) -> MailFailure:
    """What an answer of Resend's means that is no success; `name` and `message` are its words."""
    told = shorten(f"{name}: {message}" if name else message) or f"HTTP {status}"
    match status:
        case 429:
            wait_s = retry_after_s or (QUOTA_S if "quota" in name else 1.0)
            words = RESEND_WORDS.get(name, "we ask it too often")
            return MailDelayed(f"Resend delays us: {words}", retry_after_s=wait_s, limited=True)
        case 409 if name == "invalid_idempotent_request":
            return MailUncertain(
                "Resend knows an earlier request for this mail with other content: it may have "
                "been sent or not"
            )
        case 408 | 409 | 425:
            return MailDelayed(
                f"Resend is busy with this mail: {told}", retry_after_s=BUSY_S, maybe_taken=True
            )
        case 401 | 403 | 404 | 405 | 407:
            return MailDelayed(f"Resend refuses us: {told}", by_operator=True)
        case _ if 400 <= status < 500:
            return MailRefused(f"Resend refused the mail: {told}")
        case _ if status >= 500:
            return MailDelayed(
                f"Resend had an error: {told}", retry_after_s=retry_after_s, maybe_taken=True
            )
    return MailDelayed(f"Resend answered with HTTP {status}", by_operator=True, maybe_taken=True)


# Where these went wrong, no request was on its way yet.
UNSENT = frozenset({"blocked", "dns", "connect", "tls"})


def http_failure(error: HttpFailure) -> MailDelayed:
    """No answer: the request may have arrived, and its key tells that it is the same one."""
    return MailDelayed(
        f"Resend gave no answer: {error}",
        by_operator=isinstance(error, Permanent),
        maybe_taken=error.failure_class not in UNSENT,
    )


def shorten(reply: str) -> str:
    return _CONTROL.sub(" ", reply).strip()[:REPLY_CHARS_MAX]
