"""`avivro emails`: what was sent to whom, what it looks like, and what became of the rest."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import psycopg
import typer

from db import emails
from workers.cli import auditing, console, mail_events, preview, suppressions
from workers.cli.auditing import WhyOption
from workers.cli.services import database

app = typer.Typer(no_args_is_help=True)
app.command("preview")(preview.preview)
app.command("events")(mail_events.events)
app.add_typer(
    suppressions.app, name="suppressions", help="Addresses that get no mail: list, add, remove."
)

EmailArgument = Annotated[UUID, typer.Argument(help="The mail's id.")]
# Bytes of a request to a provider and the like are not for a screen.
SHOWN = (
    *("id", "status", "error_message", "to_email", "from_email", "subject", "email_type"),
    *("template_id", "user_id", "provider", "provider_message_id", "message_id", "number"),
    *("failures", "job_id", "created_at", "handed_at", "sent_at", "delivered_at", "opened_at"),
    *("clicked_at", "template_data"),
)


class Status(StrEnum):
    """The states of a row of email_logs."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class Outcome(StrEnum):
    """What an operator found out, or wants."""

    SENT = "sent"
    RESEND = "resend"
    FAILED = "failed"


@app.command("list")
def list_emails(
    status: Annotated[Status | None, typer.Option(help="Only mails in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: console.JsonOption = False,
) -> None:
    """List mails, newest first; `--status uncertain` are those that want your word."""
    with database() as conn:
        found = emails.list_emails(conn, status=status and status.value, rows_max=limit)
    if as_json:
        console.print_json(found)
        return
    console.print_table(
        "emails",
        ("id", "type", "to", "status", "created", "what"),
        [
            (mail.id, mail.email_type, mail.to_email, mail.status,
             f"{mail.created_at:%Y-%m-%d %H:%M:%S}", mail.error_message or mail.subject)
            for mail in found
        ],
    )  # fmt: skip


@app.command("show")
def show(email: EmailArgument, as_json: console.JsonOption = False) -> None:
    """Show one mail: its row, how far its sending came, its job."""
    with database() as conn:
        found = emails.get_email(conn, email)
    if found is None:
        console.fail(f"there is no email {email}", code=1)
    found["template_data"] = without_contents(found["template_data"])
    if as_json:
        console.print_json({name: found[name] for name in SHOWN})
        return
    for name in SHOWN:
        console.out.print(f"[bold]{name:<20}[/]", end=" ")
        console.out.print(shown(found[name]), markup=False, highlight=False)


@app.command("settle")
def settle(
    email: EmailArgument,
    outcome: Annotated[
        Outcome, typer.Argument(help="sent: it arrived; failed: it did not; resend: send it again.")
    ],
    why: WhyOption = auditing.UNSAID,
    as_json: console.JsonOption = False,
) -> None:
    """Say what became of an uncertain mail, or send a failed one again."""
    try:
        with database() as conn:
            status = emails.settle_email(conn, email, outcome=outcome.value)
            auditing.note(conn, "settle_email", f"email {email}", why=why, outcome=outcome.value)
    except psycopg.errors.InvalidParameterValue as error:
        console.fail(f"{error.diag.message_primary}\n{error.diag.message_hint or ''}", code=1)
    if as_json:
        console.print_json({"id": email, "status": status})
        return
    console.out.print(f"email {email} is {status}")


def without_contents(template_data: Any) -> Any:
    """The data of a mail, its attachments by name only."""
    attachments = template_data.get("attachments") if isinstance(template_data, dict) else None
    if not isinstance(attachments, list):
        return template_data
    named = [
        {name: value for name, value in each.items() if name != "content"}
        for each in attachments
        if isinstance(each, dict)
    ]
    return {**template_data, "attachments": named}


def shown(value: Any) -> str:
    return "" if value is None else str(value)
