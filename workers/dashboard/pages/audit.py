"""Who did what, when, and why?"""

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import audit
from db.audit import Entry, Wanted
from workers.dashboard.forms import Refused, query_of
from workers.dashboard.site import SAFE, Site

ROWS_MAX = 50
EXPORT_ROWS_MAX = 50_000
TEXT_CHARS_MAX = 500
FIELDS = ("operator", "action", "target", "since", "until")
COLUMNS = ("id", "at", "operator", "role", "action", "target", "why", "details")
# Spreadsheets take a cell that begins so for a formula, and run it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def routes(site: Site) -> list[Route]:
    def show(request: Request) -> Response:
        query = query_of(request)
        fields = read_fields(query)
        with site.read() as conn:
            found = audit.search(
                conn, read_wanted(fields), before=read_before(query), rows_max=ROWS_MAX
            )
            names, actions = audit.list_names(conn), audit.list_actions(conn)
        return site.show(
            request,
            "audit.html",
            found=found,
            fields=fields,
            filtered={name: text for name, text in fields.items() if text},
            names=names,
            actions=actions,
            is_first=read_before(query) is None,
            scanned_max=audit.SCANNED_MAX,
            today=datetime.now(UTC).date(),
        )

    def export(request: Request) -> Response:
        wanted = read_wanted(read_fields(query_of(request)))
        with site.read() as conn:
            found = audit.search(conn, wanted, before=None, rows_max=EXPORT_ROWS_MAX)
        name = f"audit-{datetime.now(UTC):%Y-%m-%d}.csv"
        return Response(
            as_csv(found.entries),
            media_type="text/csv; charset=utf-8",
            headers={**SAFE, "Content-Disposition": f'attachment; filename="{name}"'},
        )

    return [
        site.page("/audit", show),
        site.page("/audit/export", export, role="admin"),
    ]


def read_fields(query: Mapping[str, str]) -> dict[str, str]:
    fields = {name: query.get(name, "").strip() for name in FIELDS}
    for name, text in fields.items():
        if len(text) > TEXT_CHARS_MAX:
            raise Refused(f"{name} is longer than {TEXT_CHARS_MAX} characters.")
    return fields


def read_wanted(fields: Mapping[str, str]) -> Wanted:
    """Days are days of UTC; the last one counts, too."""
    until = read_day(fields["until"], "until")
    return Wanted(
        operator=fields["operator"] or None,
        action=fields["action"] or None,
        target=fields["target"] or None,
        since=read_day(fields["since"], "from"),
        until=None if until is None else until + timedelta(days=1),
    )


def read_day(text: str, name: str) -> datetime | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Refused(f"{name} must be a day, for example 2026-11-23.") from None
    if not 2000 <= day.year <= 2100:
        raise Refused(f"{name} must be a day from 2000 to 2100.")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def read_before(query: Mapping[str, str]) -> int | None:
    text = query.get("before", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Refused("before must be the number of an entry.")
    return int(text)


def as_csv(entries: list[Entry]) -> str:
    """With a mark of UTF-8, which spreadsheets want."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for entry in entries:
        writer.writerow([as_cell(getattr(entry, column)) for column in COLUMNS])
    return "\ufeff" + out.getvalue()


def as_cell(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
