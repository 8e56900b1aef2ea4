"""`avivro webhooks`: who listens, what arrived, and sending again; for operators."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import psycopg
import typer

from db import acting, webhooks
from db.pool import Connection
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database

app = typer.Typer(no_args_is_help=True)
WEBHOOKS_MAX = 10_000
DELIVERIES_MAX = 1_000
ERROR_CHARS = 60
REFUSALS = (psycopg.errors.NoDataFound, psycopg.errors.ObjectNotInPrerequisiteState)
TOO_MANY_TESTS = "PT429"

WebhookArgument = Annotated[UUID, typer.Argument(help="The webhook's id.")]


@app.command("list")
def list_webhooks(
    user: Annotated[UUID | None, typer.Option(help="Only this user's.")] = None,
    troubled: Annotated[bool, typer.Option("--troubled", help="Only those not well.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=WEBHOOKS_MAX)] = 100,
    as_json: console.JsonOption = False,
) -> None:
    """List webhooks, the newest first: how their receivers are doing, what was delivered."""
    with database() as conn:
        found = webhooks.list_all(conn, user_id=user, troubled=troubled, rows_max=limit)
    if as_json:
        console.print_json(found)
        return
    console.print_table(
        "webhooks",
        ("name", "owner", "state", "since", "waiting", "delivered", "failed", "url", "id"),
        [
            (w.name[:40], w.owner, w.state, shown(w.failing_since), w.waiting,
             w.successful_deliveries, w.failed_deliveries, w.url, w.id)
            for w in found
        ],
    )  # fmt: skip


@app.command("show")
def show(webhook: WebhookArgument, as_json: console.JsonOption = False) -> None:
    """Show a webhook as it is set up, and how its receiver is doing. Its secret stays hidden."""
    with as_owner(webhook) as conn:
        found = webhooks.get(conn, webhook)
        if found is None:
            console.fail(f"there is no webhook {webhook}", code=1)
        health = webhooks.get_health(conn, webhook)
    values = {**asdict(found), "secret": "***", "custom_headers": sorted(found.custom_headers)}
    if as_json:
        console.print_json({**values, "health": health})
        return
    lines = {**values, **{f"health: {name}": value for name, value in asdict(health).items()}}
    console.print_table(found.name, ("what", "value"), [*lines.items()])


@app.command("deliveries")
def list_deliveries(
    webhook: WebhookArgument,
    limit: Annotated[int, typer.Option(min=1, max=DELIVERIES_MAX)] = 50,
    as_json: console.JsonOption = False,
) -> None:
    """List what was sent to a webhook, the newest first."""
    with as_owner(webhook) as conn:
        found = webhooks.get_deliveries(conn, webhook, limit)
    if as_json:
        console.print_json(found)
        return
    console.print_table(
        "deliveries",
        ("created", "event", "status", "attempts", "http", "ms", "next", "error", "id"),
        [
            (shown(d.created_at), d.event_type, d.status, d.attempt_count, d.http_status,
             d.duration_ms, shown(d.next_retry_at), (d.error_message or "")[:ERROR_CHARS], d.id)
            for d in found
        ],
    )  # fmt: skip


@app.command("test")
def send_test(webhook: WebhookArgument, why: WhyOption = auditing.UNSAID) -> None:
    """Send a webhook a test event; prints the delivery's id."""
    with as_owner(webhook, Act("test_webhook", f"webhook {webhook}", why)) as conn:
        delivery = webhooks.send_test(conn, webhook)
    console.out.print(str(delivery))


@app.command("redeliver")
def redeliver(
    deliveries: Annotated[list[UUID], typer.Argument(help="Ids of deliveries.")],
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Send deliveries again: the same event ids and bodies, a new retry plan."""
    for delivery in deliveries:
        act = Act("redeliver", f"delivery {delivery}", why)
        with as_owner(delivery, act) as conn:
            webhooks.redeliver(conn, delivery)
    console.out.print(f"{len(deliveries)} on their way")


@app.command("recover")
def recover(
    webhook: WebhookArgument,
    since: Annotated[datetime, typer.Option(help="In UTC, e.g. 2026-01-31T14:00:00.")],
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Send again what failed, was blocked or cancelled since a time, oldest first."""
    total = 0
    with as_owner(webhook, Act("redeliver_lost", f"webhook {webhook}", why)) as conn:
        while sent := webhooks.recover(conn, webhook, since.replace(tzinfo=UTC)):
            total += sent
    console.out.print(f"{total} on their way")


@app.command("enable")
def enable(webhook: WebhookArgument, why: WhyOption = auditing.UNSAID) -> None:
    """Activate a webhook again, with a clean record. `recover` sends what it missed."""
    with as_owner(webhook, Act("enable_webhook", f"webhook {webhook}", why)) as conn:
        webhooks.update(conn, webhook, is_active=True)
    console.out.print(f"{webhook} is active")


@dataclass(frozen=True, slots=True)
class Act:
    """What the audit log says of a command."""

    action: str
    target: str
    why: str


@contextmanager
def as_owner(id: UUID, act: Act | None = None) -> Iterator[Connection]:
    """Act for whom a webhook, or a delivery's webhook, belongs to; a refusal ends the command."""
    with database() as conn:
        owner = webhooks.find_owner(conn, id)
        if owner is None:
            console.fail(f"there is no webhook or delivery {id}", code=1)
        try:
            with acting.acting_as(conn, owner):
                yield conn
        except psycopg.Error as error:
            if not isinstance(error, REFUSALS) and error.sqlstate != TOO_MANY_TESTS:
                raise
            console.fail(str(error.diag.message_primary), code=1)
        if act is not None:
            auditing.note(conn, act.action, act.target, why=act.why)


def shown(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"
