"""What operators read of an alert, as a mail and as a webhook. Pure."""

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from db.alerts import Notice
from workers.spans import span

TITLE_CHARS_MAX = 160
# Of the evidence and of the advice: what to press and the runbook are never cut off.
TEXT_CHARS_MAX = 1_000
WORDS = {"stop": "stopped", "hold": "held"}


@dataclass(frozen=True, slots=True)
class Message:
    """`id` is the same for every attempt, so that who gets two copies can tell."""

    id: UUID
    subject: str
    text: str
    payload: dict[str, Any]

    @property
    def html(self) -> str:
        return f"<pre style='white-space:pre-wrap;font:inherit'>{escape(self.text)}</pre>"


def compose(notice: Notice, *, public_url: str | None) -> Message:
    """The message about an alert that began, or that is over."""
    is_over = notice.event == "recovered"
    title = cut(" ".join(notice.title.split()), TITLE_CHARS_MAX)
    subject = f"Recovered: {title}" if is_over else f"{WORDS[notice.level].title()}: {title}"
    lines = over(notice) if is_over else trouble(notice)
    lines.append(f"Runbook: {runbook_address(notice.runbook, public_url)}")
    text = "\n\n".join(lines)
    return Message(
        # A random one would differ from attempt to attempt.
        id=uuid5(NAMESPACE_URL, f"{notice.alert_id}/{notice.opened_at}/{notice.event}"),
        subject=f"[Avivro] {subject}",
        text=f"{title}\n\n{text}",
        payload={"text": f"{subject}\n\n{text}", "alert": payload_of(notice, public_url)},
    )


def cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "\u2026"


def trouble(notice: Notice) -> list[str]:
    evidence, advice = cut(notice.evidence, TEXT_CHARS_MAX), cut(notice.advice, TEXT_CHARS_MAX)
    return [evidence, f"What to do: {advice}"]


def over(notice: Notice) -> list[str]:
    assert notice.recovered_at is not None
    lasted_s = (notice.recovered_at - notice.began_at).total_seconds()
    return [
        f"It is no longer found. It lasted {span(lasted_s)}, from {moment(notice.began_at)} to "
        f"{moment(notice.recovered_at)}."
    ]


def payload_of(notice: Notice, public_url: str | None) -> dict[str, Any]:
    return {
        "id": notice.alert_id,
        "event": notice.event,
        "key": notice.key,
        "level": notice.level,
        "title": cut(notice.title, TITLE_CHARS_MAX),
        "evidence": cut(notice.evidence, TEXT_CHARS_MAX),
        "do": cut(notice.advice, TEXT_CHARS_MAX),
        "runbook": runbook_address(notice.runbook, public_url),
        "began_at": notice.began_at.isoformat(),
        "opened_at": notice.opened_at.isoformat(),
        "recovered_at": None if notice.recovered_at is None else notice.recovered_at.isoformat(),
    }


def runbook_address(slug: str, public_url: str | None) -> str:
    path = f"/runbooks/{slug}"
    return f"{path} (avivro dashboard)" if public_url is None else public_url.rstrip("/") + path


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}"
