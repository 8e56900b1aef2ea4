"""`avivro alerts`: what stands, what was, and whether messages arrive."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import typer

from db import alerts
from db.alerts import Alert
from workers import config
from workers.alert_messages import Message
from workers.alert_ways import NotSent, open_ways
from workers.cli import console
from workers.cli.services import database

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_alerts(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that stand.")] = False,
    as_json: console.JsonOption = False,
) -> None:
    """List alerts: those that stand first, then those that are over, newest first."""
    with database() as conn:
        found = alerts.list_alerts(conn, open_only=only_open)
    if as_json:
        console.print_json(found)
        return
    if not found:
        console.out.print("no alert stands" if only_open else "there was no alert yet")
        return
    columns = ("level", "since", "over", "what")
    console.print_table("alerts", columns, [line(alert) for alert in found], whole=columns[:3])


def line(alert: Alert) -> tuple[str, ...]:
    return (
        alert.level,
        console.moment(alert.began_at),
        console.moment(alert.recovered_at) or "stands",
        f"{alert.title}\n{told(alert)}; runbook {alert.runbook}",
    )


def told(alert: Alert) -> str:
    if alert.notified_at is None:
        return f"not told: {alert.untold}" if alert.untold else "told nobody"
    late = f", not {alert.untold}" if alert.untold else ""
    return f"told {console.moment(alert.notified_at)}{late}"


@app.command("test")
def send_test(as_json: console.JsonOption = False) -> None:
    """Send a test message by every way that is set, and say what came of it."""
    ways = open_ways(config.load())
    if not ways:
        console.fail("nobody is told: set ALERT_EMAIL or ALERT_WEBHOOK_URL", code=3)
    results = []
    for way in ways:
        error = None
        try:
            way.send(sample(datetime.now(UTC)))
        except NotSent as failure:
            error = str(failure)
        results.append({"way": way.name, "target": way.target, "ok": not error, "error": error})
    if as_json:
        console.print_json(results)
    else:
        for result in results:
            mark = "[green]sent[/]  " if result["ok"] else "[red]FAILED[/]"
            console.out.print(mark, end=" ")
            words = f"{result['way']} to {result['target']}"
            words += f": {result['error']}" if result["error"] else ""
            console.out.print(words, markup=False, highlight=False, soft_wrap=True)
    if not all(result["ok"] for result in results):
        raise typer.Exit(1)


def sample(now: datetime) -> Message:
    text = f"This is a test, sent at {now:%H:%M:%S} UTC by avivro alerts test. Nothing is wrong."
    return Message(
        id=uuid4(),
        subject="[Avivro] Test of alerts",
        text=text,
        payload={"text": text, "alert": {"event": "test", "key": "test", "level": "hold"}},
    )
