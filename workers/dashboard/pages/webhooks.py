"""Who is cut off, when is the next trial?"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import acting, watched_webhooks, webhooks
from db.pool import Connection
from db.watched_webhooks import STATES, WELL, Filter, Listed, Place, Webhook
from pipelines.counting import noun, plural
from workers.dashboard import drawings, redaction, revealing
from workers.dashboard.bulk_runs import Task, do_parts
from workers.dashboard.drawings import Hour
from workers.dashboard.forms import Form, Refused, query_of
from workers.dashboard.frozen import describe, freeze, read_frozen
from workers.dashboard.frozen import tell as tell_done
from workers.dashboard.listing import (
    filled,
    path_id,
    pattern_of,
    place_of,
    read_choice,
    read_id,
    read_place,
    read_text,
    read_time,
    turn,
)
from workers.dashboard.site import Act, Site
from workers.dashboard.words import duration

PAGE_ROWS = 30
DELIVERY_ROWS = 50
HOURS = 48
# As many as one call of the function behind it sends again, 20 a second.
RECOVER_MAX = 10_000
RECOVER_PER_S = 20
LOST = ("failed", "blocked", "cancelled")
STATUSES = ("pending", "retrying", "delivered", *LOST)
FIELDS = ("state", "tenant", "q")
TROUBLED = "troubled"
# Before an event's id in the header webhook-id, which is what a receiver's log has.
ID_PREFIX = "msg_"
# What the functions refuse is told to the operator in their own words.
REFUSALS = (psycopg.errors.NoDataFound, psycopg.errors.ObjectNotInPrerequisiteState)
TOO_MANY_TESTS = "PT429"


def routes(site: Site) -> list[Route]:
    return [
        site.page("/webhooks", partial(show_list, site)),
        site.page("/webhooks/deliveries/{delivery_id}", partial(show_delivery, site)),
        site.action("/webhooks/deliveries/{delivery_id}/reveal", partial(reveal, site)),
        site.action("/webhooks/redeliver", partial(redeliver, site)),
        site.action("/webhooks/recover", partial(recover, site)),
        site.action("/webhooks/enable", partial(enable, site)),
        site.action("/webhooks/disable", partial(disable, site)),
        site.action("/webhooks/test", partial(send_test, site)),
        site.page("/webhooks/{webhook_id}", partial(show_webhook, site)),
        site.page("/webhooks/{webhook_id}/recover", partial(preview, site), role="operator"),
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the list is filtered by, as the address says it."""

    fields: dict[str, str]
    wanted: Filter
    state: str | None
    after: Place | None


def read_asked(fields: Mapping[str, str]) -> Asked:
    """Raises Refused for what is no filter."""
    state = read_choice(fields, "state", (TROUBLED, *STATES))
    text = read_text(fields, "q")
    states = None if state is None else [state]
    if state == TROUBLED:
        states = [each for each in STATES if each not in WELL]
    return Asked(
        filled(fields, FIELDS),
        Filter(states, tenant=read_id(fields, "tenant"), text=text, pattern=pattern_of(text)),
        state,
        read_after(fields),
    )


def read_after(fields: Mapping[str, str]) -> Place | None:
    rank, _, rest = fields.get("after", "").partition("_")
    if not rest:
        return None
    place = read_place({"after": rest}, "after")
    if place is None or rank not in {str(number) for number in range(1, len(STATES) + 1)}:
        raise Refused("after is no place in this list.")
    return Place(int(rank), *place)


def show_list(site: Site, request: Request) -> Response:
    asked = read_asked(query_of(request))
    with site.read() as conn:
        counts = watched_webhooks.count(conn)
        found = watched_webhooks.find_matching(
            conn, asked.wanted, after=asked.after, rows_max=PAGE_ROWS + 1
        )
    page = turn(
        found,
        lambda row: f"{row.rank}_{place_of(row.created_at, row.id)}",
        rows_max=PAGE_ROWS,
        path="/webhooks",
        fields=asked.fields,
        name="after",
    )
    return site.show(
        request,
        "webhooks.html",
        asked=asked,
        counts=counts,
        total=sum(counts.values()),
        troubled=sum(number for state, number in counts.items() if state not in WELL),
        page=page,
        strips=[draw_strip(each) for each in page.rows],
        states=STATES,
        troubled_state=TROUBLED,
        maxima=watched_webhooks,
        tell=tell,
        now=datetime.now(UTC),
    )


def draw_strip(hook: Listed) -> Markup:
    failed = sum(status in drawings.FAILED for status in hook.statuses)
    shown = plural(len(hook.statuses), "delivery", "deliveries")
    label = f"last {shown}, {failed} of them failed"
    return drawings.strip(hook.statuses, hook.durations_ms, label=label)


def tell(hook: Listed) -> str:
    """How it came to this, in words."""
    if hook.state == "disabled":
        return hook.disabled_reason or ""
    if hook.failures:
        return f"{plural(hook.failures, 'failure')} in a row"
    return {"half_open": "it has just begun to answer", "slow": "its answers take long"}.get(
        hook.state, ""
    )


def show_webhook(site: Site, request: Request) -> Response:
    webhook_id = path_id(request, "webhook_id", "webhook")
    fields = query_of(request)
    status, before = read_choice(fields, "status", STATUSES), read_place(fields)
    event = fields.get("event", "").strip()
    with site.read() as conn:
        hook = require(conn, webhook_id)
        hours = watched_webhooks.sum_hours(conn, webhook_id, hours=HOURS)
        found = watched_webhooks.list_deliveries(
            conn,
            webhook_id,
            statuses=None if status is None else [status],
            id=read_id({"event": event.removeprefix(ID_PREFIX)}, "event"),
            before=before,
            rows_max=DELIVERY_ROWS + 1,
        )
    return site.show(
        request,
        "webhook.html",
        hook=hook,
        state=state_of(hook),
        chart=draw_hours(hours),
        any_hours=any(hour.delivered or hour.failed for hour in hours),
        hours=HOURS,
        page=turn(
            found,
            lambda row: place_of(row.created_at, row.id),
            rows_max=DELIVERY_ROWS,
            path=f"/webhooks/{webhook_id}",
            fields={"status": status},
        ),
        wanted=status,
        event=event,
        statuses=STATUSES,
        day_ago=f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:%M}",
        maxima=watched_webhooks,
    )


def require(conn: Connection, webhook_id: UUID) -> Webhook:
    hook = watched_webhooks.get(conn, webhook_id)
    if hook is None:
        raise Refused("There is no such webhook: it was deleted, or never was.", status=404)
    return hook


def state_of(hook: Webhook) -> str:
    """As in the list: more than its health says."""
    if hook.state == "disabled" and hook.disabled_reason is None:
        return "off"
    if hook.state == "closed" and hook.failures:
        return "failing"
    return hook.state


def draw_hours(hours: list[watched_webhooks.Hour]) -> Markup:
    return drawings.above_below(
        [Hour(each.hour_at, each.delivered, each.failed) for each in hours],
        label=f"Deliveries per hour of the last {len(hours)} hours:"
        f" {sum(each.delivered for each in hours):,} delivered above the line,"
        f" {sum(each.failed for each in hours):,} failed below it",
    )


def show_delivery(site: Site, request: Request) -> Response:
    delivery_id = path_id(request, "delivery_id", "delivery")
    with site.read() as conn:
        return show_one(site, request, conn, delivery_id, is_revealed=False)


def show_one(
    site: Site, request: Request, conn: Connection, delivery_id: UUID, *, is_revealed: bool
) -> Response:
    found = watched_webhooks.get_delivery(conn, delivery_id)
    if found is None:
        raise Refused("There is no such delivery: it was deleted, or never was.", status=404)
    return site.show(
        request,
        "delivery.html",
        delivery=found,
        attempts=watched_webhooks.list_attempts(conn, delivery_id),
        is_revealed=is_revealed,
        payload=show_payload(found.event_data, is_revealed=is_revealed),
        maxima=watched_webhooks,
    )


def show_payload(payload: Any, *, is_revealed: bool) -> Any:
    """None where it is too long to be shown."""
    if payload is None:
        return None
    return redaction.reveal(payload) if is_revealed else redaction.redact(payload)


def reveal(site: Site, request: Request, form: Form) -> Response:
    """Shows what was sent and answered, once; who looked, and why, is kept."""
    delivery_id = path_id(request, "delivery_id", "delivery")
    show = partial(show_one, site, request, delivery_id=delivery_id, is_revealed=True)
    return revealing.reveal(site, request, form, f"delivery {delivery_id}", show)


@contextmanager
def as_owner(act: Act, id: UUID) -> Iterator[Connection]:
    """Act for whom a webhook, or a delivery's webhook, belongs to. Raises Refused."""
    owner = webhooks.find_owner(act.conn, id)
    if owner is None:
        raise Refused("There is no such webhook or delivery.", status=404)
    with refusing(), acting.acting_as(act.conn, owner):
        yield act.conn


@contextmanager
def refusing() -> Iterator[None]:
    """What the functions behind refuse is told in their own words. Raises Refused."""
    try:
        yield
    except psycopg.Error as error:
        if not isinstance(error, REFUSALS) and error.sqlstate != TOO_MANY_TESTS:
            raise
        raise Refused(f"{error.diag.message_primary}.", status=409) from error


def form_id(form: Form, name: str) -> UUID:
    found = read_id({name: form.one(name)}, name)
    if found is None:
        raise Refused(f"{name} is missing.")
    return found


def redeliver(site: Site, request: Request, form: Form) -> Response:
    id = form_id(form, "delivery_id")
    with (
        site.act(request, "redeliver", target=f"delivery {id}", why=form.why, once=True) as act,
        as_owner(act, id) as conn,
    ):
        webhooks.redeliver(conn, id)
    return site.back(form, "It is on its way again: the same id and body, a new retry plan.")


def preview(site: Site, request: Request) -> Response:
    webhook_id = path_id(request, "webhook_id", "webhook")
    since = read_since(query_of(request).get("since", ""))
    with site.read() as conn:
        hook = require(conn, webhook_id)
        lost = watched_webhooks.list_lost(conn, webhook_id, since=since, rows_max=RECOVER_MAX + 1)
    count = min(len(lost), RECOVER_MAX)
    return site.show(
        request,
        "bulk.html",
        title="Send again what was lost",
        filter=f"{hook.name} since {since:%Y-%m-%d %H:%M} UTC",
        back=f"/webhooks/{webhook_id}",
        action="/webhooks/recover",
        word=f"Send {count:,} again",
        fields={"webhook_id": webhook_id, "since": since.isoformat()},
        **freeze(lost[:RECOVER_MAX] if hook.is_active else ()),
        **tell_lost(hook, len(lost)),
    )


def tell_lost(hook: Webhook, lost: int) -> dict[str, Any]:
    count = min(lost, RECOVER_MAX)
    lost_ones = noun(
        count,
        "delivery that failed, was blocked or cancelled is sent again",
        "deliveries that failed, were blocked or cancelled are sent again",
    )
    happens = [
        (f"{count:,}", lost_ones),
        ("same", "event ids and bodies: a receiver knows what it had already"),
    ]
    skipped = [("all", "that was delivered or is on its way")]
    if lost > RECOVER_MAX:
        skipped.append(("more", f"beyond the cap of {RECOVER_MAX:,}, the latest: ask again after"))
    if not hook.is_active:
        happens = [("0", "deliveries: the webhook is not active. Enable it first.")]
        waiting = noun(count, "that was lost waits until then", "that were lost wait until then")
        skipped = [(f"{count:,}", waiting)]
        return {"happens": happens, "skipped": skipped, "pace": "Nothing is sent."}
    pace = f"Oldest first, {RECOVER_PER_S} a second: {duration(count / RECOVER_PER_S)} in all."
    return {"happens": happens, "skipped": skipped, "pace": pace}


def read_since(text: str) -> datetime:
    """A time in UTC, as a browser's field gives it or in full. Raises Refused."""
    try:
        return read_time(text if "+" in text or text.endswith("Z") else f"{text}+00:00")
    except ValueError:
        raise Refused(
            f"since must be a time in UTC such as 2026-01-31T14:00, not {text[:40]!r}."
        ) from None


def recover(site: Site, request: Request, form: Form) -> Response:
    webhook_id, since = form_id(form, "webhook_id"), read_since(form.one("since"))
    frozen = read_frozen(form, most=RECOVER_MAX)

    def change(act: Act, ids: Sequence[UUID]) -> int:
        with refusing():
            sent = watched_webhooks.send_lost(act.conn, webhook_id, ids, gap_s=1 / RECOVER_PER_S)
        act.details.update(describe(frozen, sent), since=since.isoformat())
        return len(sent)

    # One part: only so does each begin a moment after the one before.
    parts = [frozen.ids]
    key, target = frozen.key(f"recover {webhook_id}"), f"webhook {webhook_id}"
    task = Task(key, "redeliver_lost", target, form.why, "deliveries", parts, change)
    done = do_parts(site, request, task)
    told = f"{plural(done.changed, 'delivery', 'deliveries')} on the way again."
    return site.back(form, tell_done(frozen, done, told))


def enable(site: Site, request: Request, form: Form) -> Response:
    set_active(site, request, form, is_active=True)
    return site.back(form, "The webhook is active, with a clean record.")


def disable(site: Site, request: Request, form: Form) -> Response:
    set_active(site, request, form, is_active=False)
    return site.back(form, "The webhook is switched off; what waited was cancelled.")


def set_active(site: Site, request: Request, form: Form, *, is_active: bool) -> None:
    id = form_id(form, "webhook_id")
    verb = "enable_webhook" if is_active else "disable_webhook"
    with site.act(request, verb, target=f"webhook {id}", why=form.why, once=True) as act:
        with as_owner(act, id) as conn:
            found = webhooks.update(conn, id, is_active=is_active)
        if found is None:
            raise Refused("There is no such webhook.", status=404)


def send_test(site: Site, request: Request, form: Form) -> Response:
    id = form_id(form, "webhook_id")
    target = f"webhook {id}"
    with site.act(request, "test_webhook", target=target, why=form.why, once=True) as act:
        with as_owner(act, id) as conn:
            delivery_id = webhooks.send_test(conn, id)
        act.details["delivery_id"] = str(delivery_id)
    return site.back(form, f"A test event is on its way: delivery {delivery_id}.")
