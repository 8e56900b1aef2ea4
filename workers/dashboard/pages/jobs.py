"""Which jobs match, and what would acting on all of them do?"""

from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID, uuid4

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from db import job_list
from db.job_list import Place
from db.patterns import containing
from db.pool import Connection
from pipelines.counting import plural
from workers.dashboard import bulk, job_view
from workers.dashboard.bulk import ACTIONS, BULK_MAX, PACE_MAX, PRIORITY_MAX, Action
from workers.dashboard.bulk_runs import Order, Outcome, carry_out
from workers.dashboard.filtering import Filter, Known, Unreadable, parse
from workers.dashboard.forms import Form, Refused, query_of
from workers.dashboard.frozen import require_sure
from workers.dashboard.job_search import Search, read_place
from workers.dashboard.job_view import Asked
from workers.dashboard.site import SAFE, Site
from workers.dashboard.suggesting import Vocabulary, suggest

SIZES = (20, 50)
CHOSEN_MAX = 200
# More than a filter may have: what is refused shall not be lost.
TYPED_CHARS_MAX = 16_000
WORDS_MAX = 200
# So much of a line is looked at, its end; suggest.js knows it, too.
LINE_CHARS_MAX = 500
TENANTS_OFFERED = 8
GROUPS_OFFERED = 20
# What who is on call asks most, ready to be pressed.
READY = (
    ("failing now", "state:retryable"),
    ("waiting for 10 min", "state:available waited>10m"),
    ("discarded this hour", "discarded<1h"),
    ("running for 5 min", "state:running ran>5m"),
)


def routes(site: Site) -> list[Route]:
    return [
        site.page("/jobs", partial(show_jobs, site)),
        site.page("/jobs/suggest", partial(show_suggestions, site)),
        site.action("/jobs/bulk", partial(change_jobs, site)),
    ]


def show_jobs(site: Site, request: Request) -> Response:
    fields = query_of(request)
    with site.read() as conn:
        try:
            asked = read_asked(conn, fields, request.query_params)
        except Unreadable as trouble:
            return show_trouble(site, request, fields, trouble)
        if fields.get("add", "").strip():
            return RedirectResponse(asked.at(), 303, headers=SAFE)
        search = Search(conn, asked.filter)
        gathered = job_view.gather(search, asked)
        view = job_view.look(search, conn, asked, gathered)
        preview = None if gathered is None else job_view.preview(conn, asked, gathered)
    return site.show(
        request,
        "jobs.html",
        asked=asked,
        view=view,
        preview=preview,
        trouble=None,
        typed=fields.get("edit", ""),
        ready=READY,
        sizes=SIZES,
        actions=ACTIONS.values(),
        run=uuid4(),
        bulk_max=BULK_MAX,
    )


def read_filter(conn: Connection, text: str) -> Filter:
    """Kinds and queues that only rows have are looked for where the text is refused without."""
    words = job_list.list_words(conn)
    kinds, queues = {kind for kind, _, _ in words}, {queue for _, queue, _ in words}
    try:
        return parse(text, Known(sorted(kinds), sorted(queues)))
    except Unreadable:
        for field, word in job_list.list_seen_words(conn, words_max=WORDS_MAX):
            (kinds if field == "kind" else queues).add(word)
        return parse(text, Known(sorted(kinds), sorted(queues)))


def read_asked(conn: Connection, fields: Mapping[str, str], query: QueryParams) -> Asked:
    """Raises Unreadable for the filter, and Refused for all else that is no address of ours."""
    text = " ".join(part for part in (fields.get("q", ""), fields.get("add", "")) if part.strip())
    return Asked(
        filter=read_filter(conn, text),
        after=read_after(fields.get("after", "")),
        size=read_number(fields, "limit", SIZES[0], least=SIZES[0], most=SIZES[-1]),
        action=read_action(fields.get("preview", "")),
        chosen=read_ids(query.getlist("id")),
        everything=bool(fields.get("all")),
        is_patient=bool(fields.get("longer")),
        per_minute=read_number(fields, "pace", 0, least=0, most=PACE_MAX),
    )


def read_after(text: str) -> Place | None:
    try:
        return read_place(text) if text else None
    except ValueError:
        raise Refused("That place in the list is not understood: begin at the newest.") from None


def read_number(
    fields: Mapping[str, str], name: str, default: int, *, least: int, most: int
) -> int:
    text = fields.get(name, "").strip()
    return Form([(name, text)]).number(name, least=least, most=most) if text else default


def read_action(name: str) -> Action | None:
    if name and name not in ACTIONS:
        raise Refused(f"There is no action {name[:40]!r}.")
    return ACTIONS.get(name)


def read_ids(texts: Sequence[str]) -> tuple[int, ...]:
    if len(texts) > CHOSEN_MAX:
        raise Refused(f"{len(texts)} rows are chosen, at most {CHOSEN_MAX}: use a filter.")
    for text in texts:
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise Refused(f"{text[:40]!r} is no job's id.")
    return tuple(sorted({int(text) for text in texts}, reverse=True))


def show_trouble(
    site: Site, request: Request, fields: Mapping[str, str], trouble: Unreadable
) -> Response:
    """The line as it was typed, with what cannot be read in it."""
    typed = " ".join(part for part in (fields.get("q", ""), fields.get("add", "")) if part)
    return site.show(
        request,
        "jobs.html",
        status=400,
        asked=Asked(Filter()),
        view=None,
        preview=None,
        trouble=trouble,
        typed=typed[:TYPED_CHARS_MAX],
        ready=READY,
    )


def show_suggestions(site: Site, request: Request) -> Response:
    """Options for the line that is being typed."""
    fields = query_of(request)
    line = fields.get("add", fields.get("q", ""))[-LINE_CHARS_MAX:]
    with site.read() as conn:
        found = suggest(line, read_vocabulary(conn))
    return site.show(request, "jobs_suggest.html", found=found, line=line)


def read_vocabulary(conn: Connection) -> Vocabulary:
    words = job_list.list_words(conn)

    def tenants(typed: str) -> list[tuple[str, str]]:
        rows = job_list.list_recent_tenants(
            conn, pattern=containing(typed), rows_max=TENANTS_OFFERED
        )
        return [
            (str(tenant), f"{name or 'no name'}, {jobs} new jobs") for tenant, name, jobs in rows
        ]

    def groups() -> list[tuple[str, str]]:
        rows = job_list.list_recent_groups(conn, rows_max=GROUPS_OFFERED)
        return [(group, error or "") for group, _, error in rows]

    def others(field: str) -> list[str]:
        found = job_list.list_seen_words(conn, words_max=WORDS_MAX)
        return [word for each, word in found if each == field]

    return Vocabulary(
        kinds=[kind for kind, _, _ in words],
        queues=sorted({queue for _, queue, _ in words}),
        args=sorted({name for _, _, args in words for name in args}),
        tenants=tenants,
        groups=groups,
        others=others,
    )


def change_jobs(site: Site, request: Request, form: Form) -> Response:
    order = read_order(form)
    outcome = carry_out(site, request, order)
    return site.back(form, tell(order, outcome))


def read_order(form: Form) -> Order:
    action = read_action(form.one("action"))
    if action is None:
        raise Refused("Say what is to be done.")
    try:
        ids, run = bulk.unpack(form.one("ids")), UUID(form.one("run"))
    except ValueError as error:
        raise Refused(f"This form cannot be read: {error}.") from None
    require_sure(form, len(ids), f"{len(ids):,} jobs")
    return Order(
        run=run,
        action=action,
        ids=tuple(ids),
        filter=form.one("q", "")[:2_000].replace("\0", ""),
        why=form.why,
        per_minute=form.number("pace", least=0, most=PACE_MAX) if action.paced else 0,
        priority=read_priority(form) if action.name == "priority" else 0,
    )


def read_priority(form: Form) -> int:
    return form.number("priority", least=-PRIORITY_MAX, most=PRIORITY_MAX)


def tell(order: Order, outcome: Outcome) -> str:
    """What happened, for the notice."""
    left = len(order.ids) - outcome.changed
    told = f"{plural(outcome.changed, 'job')} {order.action.done}."
    if outcome.again:
        return f"This form was sent before and nothing was done twice: {told}"
    if left:
        told += f" {left:,} changed meanwhile and stay as they are."
    return told
