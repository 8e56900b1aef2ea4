"""Which mails did not go out, and which are uncertain?"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import emails, suppressions, watched_emails
from db.pool import Connection
from db.watched_emails import STATES, Filter, States
from pipelines.counting import noun, plural
from workers.dashboard import mail_reasons, masks, revealing
from workers.dashboard.bulk_runs import Task, do_parts
from workers.dashboard.forms import Form, Refused, query_of
from workers.dashboard.frozen import describe, freeze, read_frozen
from workers.dashboard.frozen import tell as tell_done
from workers.dashboard.kept import Kept, Pace
from workers.dashboard.listing import (
    filled,
    path_id,
    pattern_of,
    place_of,
    read_choice,
    read_id,
    read_place,
    read_text,
    turn,
)
from workers.dashboard.site import Act, Site, address

PAGE_ROWS = 50
UNCERTAIN_ROWS = 20
REASONS_MAX = 12
SUPPRESSION_ROWS = 20
BULK_MAX = 500
SPANS = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}
FIELDS = ("status", "type", "tenant", "since", "to", "q")
# What an operator can say of a mail, by the state it is in.
OUTCOMES = {"uncertain": ("sent", "failed", "resend"), "failed": ("resend",)}
TOLD = {
    "sent": "marked as sent",
    "failed": "marked as not sent",
    "resend": "on its way again",
}
NOTE_CHARS_MAX = 500
# Counting a week of mails takes a while: it is done once for all who look.
STATES_PACE = Pace(age_s=5.0, rest=20.0, grace_s=30.0)
HASH_CHARS = 12


def routes(site: Site) -> list[Route]:
    states = Kept(partial(read_states, site), STATES_PACE)
    site.first_reads.append(states.get)
    return [
        site.page("/email", partial(show_list, site, states)),
        site.page("/email/settle-all", partial(preview, site), role="operator"),
        site.action("/email/settle-all", partial(settle_all, site)),
        site.action("/email/settle", partial(settle, site)),
        site.action("/email/suppress", partial(suppress, site)),
        site.action("/email/lift", partial(lift, site)),
        site.page("/email/{email_id}", partial(show_email, site)),
        site.action("/email/{email_id}/reveal", partial(reveal, site)),
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the list is filtered by, as the address says it."""

    fields: dict[str, str]
    wanted: Filter
    since: str | None


def read_asked(fields: Mapping[str, str]) -> Asked:
    """Raises Refused for what is no filter."""
    text, to = read_text(fields, "q"), read_text(fields, "to")
    since = read_choice(fields, "since", tuple(SPANS))
    return Asked(
        filled(fields, FIELDS),
        Filter(
            status=read_choice(fields, "status", STATES),
            type=read_text(fields, "type"),
            tenant=read_id(fields, "tenant"),
            since=None if since is None else datetime.now(UTC) - SPANS[since],
            address=to.lower() if to else None,
            text=text,
            pattern=pattern_of(text),
        ),
        since,
    )


def read_states(site: Site) -> Mapping[str, States]:
    with site.read() as conn:
        return watched_emails.count_states(conn)


def show_list(site: Site, states: Kept[Mapping[str, States]], request: Request) -> Response:
    fields = query_of(request)
    asked, before = read_asked(fields), read_place(fields)
    plain = not asked.fields and before is None
    with site.read() as conn:
        found = watched_emails.find_matching(
            conn, asked.wanted, before=before, rows_max=PAGE_ROWS + 1
        )
        more = {
            "unsettled": watched_emails.count_unsettled(conn),
            "suppressed": list_suppressions(conn, fields),
            **(overview(conn) if plain else {}),
        }
    return site.show(
        request,
        "email.html",
        asked=asked,
        plain=plain,
        page=turn(
            found,
            lambda row: place_of(row.created_at, row.id),
            rows_max=PAGE_ROWS,
            path="/email",
            fields=asked.fields,
        ),
        states=states.get().value,
        order=STATES,
        spans=tuple(SPANS),
        outcomes=OUTCOMES,
        maxima=watched_emails,
        looked_for=bool(fields.get("address", "").strip()),
        hash_chars=HASH_CHARS,
        **more,
    )


def overview(conn: Connection) -> dict[str, Any]:
    """What waits for somebody's word, why others failed, and what holds those that wait."""
    return {
        "uncertain": watched_emails.find_matching(
            conn, Filter(status="uncertain"), before=None, rows_max=UNCERTAIN_ROWS
        ),
        "reasons": grouped(conn, ("failed", "bounced")),
        "holds": grouped(conn, ("queued", "sending")),
        "queue": watched_emails.read_queue(conn),
        "lanes": watched_emails.list_lanes(conn),
        "opens": watched_emails.count_opens(conn),
    }


def grouped(conn: Connection, statuses: Sequence[str]) -> list[mail_reasons.Group]:
    return mail_reasons.group(watched_emails.list_reasons(conn, statuses))[:REASONS_MAX]


def list_suppressions(
    conn: Connection, fields: Mapping[str, str]
) -> list[watched_emails.Suppression]:
    """The newest, or those of an address, which is looked for by its hash."""
    text = read_text(fields, "address")
    return watched_emails.list_suppressions(
        conn,
        address=None if text is None else spell(text),
        before=None,
        rows_max=SUPPRESSION_ROWS,
    )


def spell(text: str) -> str:
    """An address as it is remembered. Raises Refused for what is none."""
    # Only who asks for an address loads what reads one.
    from pipelines.email.address import parse_address
    from pipelines.errors import Permanent

    try:
        return parse_address(text).spec.lower()
    except Permanent as error:
        raise Refused(str(error)) from error


def show_email(site: Site, request: Request) -> Response:
    email_id = path_id(request, "email_id", "mail")
    with site.read() as conn:
        return show_one(site, request, conn, email_id, is_revealed=False)


def show_one(
    site: Site, request: Request, conn: Connection, email_id: UUID, *, is_revealed: bool
) -> Response:
    found = watched_emails.get(conn, email_id)
    if found is None:
        raise Refused("There is no such mail: it was deleted, or never was.", status=404)
    subject = watched_emails.read_subject(conn, email_id) if is_revealed else ""
    return site.show(
        request,
        "mail.html",
        mail=found,
        events=watched_emails.list_events(conn, email_id),
        is_revealed=is_revealed,
        subject=subject,
        outcomes=OUTCOMES.get(found.status, ()),
    )


def reveal(site: Site, request: Request, form: Form) -> Response:
    """Shows to whom it went and its subject, once; who looked, and why, is kept."""
    email_id = path_id(request, "email_id", "mail")
    show = partial(show_one, site, request, email_id=email_id, is_revealed=True)
    return revealing.reveal(site, request, form, f"email {email_id}", show)


@contextmanager
def refusing() -> Iterator[None]:
    """What the function behind refuses is told in its own words."""
    try:
        yield
    except psycopg.errors.InvalidParameterValue as error:
        hint = f" {error.diag.message_hint}" if error.diag.message_hint else ""
        raise Refused(f"{error.diag.message_primary}.{hint}", status=409) from error


def settle(site: Site, request: Request, form: Form) -> Response:
    email_id = read_id({"email_id": form.one("email_id")}, "email_id")
    outcome = read_choice({"outcome": form.one("outcome")}, "outcome", tuple(TOLD))
    if email_id is None or outcome is None:
        raise Refused("Say which mail, and what became of it.")
    with (
        site.act(request, "settle_email", target=f"email {email_id}", why=form.why) as act,
        refusing(),
    ):
        act.details.update(outcome=outcome)
        act.details["status"] = emails.settle_email(act.conn, email_id, outcome=outcome)
    return site.back(form, f"The mail is {TOLD[outcome]}.")


def read_bulk(fields: Mapping[str, str]) -> tuple[Asked, str]:
    """Which mails, all of one state, and what is said of them. Raises Refused."""
    asked = read_asked(fields)
    outcome = read_choice(fields, "outcome", tuple(TOLD))
    if outcome is None or outcome not in OUTCOMES.get(asked.wanted.status or "", ()):
        raise Refused("Choose failed mails to send again, or uncertain ones to settle.")
    return asked, outcome


def preview(site: Site, request: Request) -> Response:
    asked, outcome = read_bulk(query_of(request))
    with site.read() as conn:
        ids = watched_emails.list_matching_ids(conn, asked.wanted, rows_max=BULK_MAX + 1)
    count = min(len(ids), BULK_MAX)
    words = {
        "resend": f"Send {count:,} again",
        "sent": f"Mark {count:,} as sent",
        "failed": f"Mark {count:,} as not sent",
    }
    return site.show(
        request,
        "bulk.html",
        title="Settle mails" if asked.wanted.status == "uncertain" else "Send mails again",
        filter=told_filter(asked),
        back=address("/email", asked.fields),
        action="/email/settle-all",
        word=words[outcome],
        danger=outcome == "resend" and asked.wanted.status == "uncertain",
        fields={**asked.fields, "outcome": outcome},
        **freeze(ids[:BULK_MAX]),
        **tell(asked, outcome, len(ids)),
    )


def told_filter(asked: Asked) -> str:
    """The filter in words, without the address that it may hold."""
    shown = {**asked.fields}
    if "to" in shown:
        shown["to"] = masks.address(shown["to"]) if "@" in shown["to"] else "***"
    return ", ".join(f"{name}: {text}" for name, text in shown.items())


def tell(asked: Asked, outcome: str, found: int) -> dict[str, Any]:
    count = min(found, BULK_MAX)
    said = TOLD[outcome].replace("its", noun(count, "its", "their"))
    happens = [(f"{count:,}", f"{noun(count, 'mail is', 'mails are')} {said}")]
    if outcome == "resend" and asked.wanted.status == "uncertain":
        happens.append(("may", "arrive twice: nobody knows whether the first copy arrived"))
    skipped = [("all", f"that are not {asked.wanted.status} by then")]
    if found > BULK_MAX:
        skipped.append(("more", f"beyond the cap of {BULK_MAX:,}: ask again after"))
    pace = (
        "They are queued at once and go out at the provider's rate."
        if outcome == "resend"
        else "At once; nothing is sent."
    )
    return {"happens": happens, "skipped": skipped, "pace": pace}


def settle_all(site: Site, request: Request, form: Form) -> Response:
    asked, outcome = read_bulk({name: form.one(name, "") for name in (*FIELDS, "outcome")})
    frozen = read_frozen(form, most=BULK_MAX)
    safe = {**asked.fields} | ({"to": "***"} if "to" in asked.fields else {})

    def change(act: Act, ids: Sequence[UUID]) -> int:
        assert asked.wanted.status is not None
        found = watched_emails.lock_in_state(act.conn, ids, status=asked.wanted.status)
        for email_id in found:
            emails.settle_email(act.conn, email_id, outcome=outcome)
        act.details.update(describe(frozen, found), outcome=outcome)
        return len(found)

    task = Task(
        frozen.key(f"settle {outcome}"),
        "settle_emails",
        f"emails {urlencode(safe)}"[:300],
        form.why,
        "mails",
        [frozen.ids],
        change,
    )
    done = do_parts(site, request, task)
    return site.back(
        form, tell_done(frozen, done, f"{plural(done.changed, 'mail')}: {TOLD[outcome]}.")
    )


def suppress(site: Site, request: Request, form: Form) -> Response:
    spelt = spell(form.one("address"))
    note = form.one("note", "").strip()
    if len(note) > NOTE_CHARS_MAX or "\0" in note:
        raise Refused(f"The note must have at most {NOTE_CHARS_MAX} characters, and no NUL.")
    target = f"address {masks.address(spelt)}"
    with site.act(request, "suppress_address", target=target, why=form.why) as act:
        added = suppressions.add(act.conn, spelt, "manual", note=note or None)
        if not added:
            raise Refused("That address gets no mail already.", status=409)
    return site.back(form, f"{masks.address(spelt)} gets no mail any more.")


def lift(site: Site, request: Request, form: Form) -> Response:
    suppression_id = form.number("suppression_id", least=1, most=2**62)
    target = f"suppression {suppression_id}"
    with site.act(request, "lift_suppression", target=target, why=form.why) as act:
        gone = watched_emails.lift_suppression(act.conn, suppression_id)
        if gone is None:
            raise Refused("It was lifted already.", status=404)
        act.details.update(
            address_hash=gone.address_hash[:HASH_CHARS], category=gone.category, reason=gone.reason
        )
    return site.back(form, tell_lifted(gone))


def tell_lifted(gone: watched_emails.Lifted) -> str:
    """Whether mail goes there again: several reasons may keep it from one address."""
    if gone.others:
        return f"Lifted; {gone.others:,} more of that address still hold: see the list."
    mail = "mail" if gone.category is None else f"mail of {gone.category}"
    return f"Lifted: {mail} goes there again. Mails that were not sent stay so."
