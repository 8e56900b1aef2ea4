"""Where did this job's time go, what failed, is this the last try, and why does it wait?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeGuard
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import bulk as bulk_rows
from db import job_page
from db.job_logs import Line
from db.job_page import FAMILY_ALL_MAX, FAMILY_MAX, JobRow, Place, Relative
from db.pool import Connection
from workers.dashboard import bulk, masks, plain, timeline, tries
from workers.dashboard.bulk import ACTIONS, PRIORITY_MAX, Action
from workers.dashboard.bulk_runs import Order, carry_out
from workers.dashboard.forms import Form, Refused, query_of
from workers.dashboard.job_view import PLACES
from workers.dashboard.redaction import redact, reveal
from workers.dashboard.site import Site
from workers.dashboard.tries import SHOWN_MAX, Sums, Try
from workers.dashboard.waiting import Answer, explain
from workers.dashboard.waiting_facts import Peek, peek, read_facts
from workers.jobs import KINDS

TRACES_MAX = 8
AMOUNT_MAX = 1e15
GONE = "There is no such job: it was pruned, or never was."


@dataclass(frozen=True, slots=True)
class Failure:
    """One error of the job, newest first; trace is the whole text, parts what is read first."""

    attempt: int | None
    at: datetime | None
    message: str
    parts: Sequence[plain.Part]
    trace: str
    trace_chars: int


@dataclass(frozen=True, slots=True)
class View:
    row: JobRow
    place: Place
    answers: Sequence[Answer]
    tries: Sequence[Try]
    hidden_tries: int
    sums: Sums
    failures: Sequence[Failure]
    failures_max: int
    log: Sequence[Line]
    logged: Sequence[int]
    family: Sequence[Relative]
    relatives: Mapping[str, Sequence[tuple[str, int]]]
    actions: Sequence[Action]

    @property
    def is_last_try(self) -> bool:
        ended = self.row.state in tries.ENDED
        next_one = self.row.attempt + (self.row.state != "running")
        return not ended and next_one >= self.row.max_attempts

    @property
    def progress(self) -> tuple[float, float] | None:
        """Done and total, where the kind reports both."""
        found = self.row.progress if isinstance(self.row.progress, dict) else {}
        done, total = found.get("done"), found.get("total")
        if is_amount(done) and is_amount(total) and total > 0:
            return min(max(done, 0), total), total
        return None

    @property
    def about(self) -> list[tuple[str, str, str]]:
        """(name, id, address) of the ids among the arguments."""
        args = self.row.args if isinstance(self.row.args, dict) else {}
        return [
            (name.removesuffix("_id"), str(value), PLACES[name] + str(value))
            for name, value in args.items()
            if name in PLACES and is_id(value)
        ]

    @property
    def time_limit_s(self) -> int | None:
        kind = KINDS.get(self.row.kind)
        return None if kind is None else kind.time_limit_s


def routes(site: Site) -> list[Route]:
    return [
        site.page("/jobs/{job_id}", partial(show_job, site)),
        site.action("/jobs/{job_id}/act", partial(change, site)),
        site.action("/jobs/{job_id}/reveal", partial(show_revealed, site)),
    ]


def show_job(site: Site, request: Request) -> Response:
    fields, job_id = query_of(request), path_job(request)
    seen = peek(site.config.redis_url)
    with site.read() as conn:
        view = look(conn, job_id, fields, seen)
    return site.show(
        request,
        "job.html",
        view=view,
        drawn=timeline.draw(view.row, view.tries),
        args=redact(view.row.args),
        result=redact(view.row.result),
        reported=redact(view.row.progress),
        is_revealed=False,
        **asked(fields),
    )


def show_revealed(site: Site, request: Request, form: Form) -> Response:
    """The arguments and result as they are, in this answer only; who asked is noted."""
    job_id = path_job(request)
    seen = peek(site.config.redis_url)
    with site.act(request, "reveal_job", target=f"job {job_id}", why=form.why) as act:
        view = look(act.conn, job_id, {}, seen)
    return site.show(
        request,
        "job.html",
        view=view,
        drawn=timeline.draw(view.row, view.tries),
        args=reveal(view.row.args),
        result=reveal(view.row.result),
        reported=reveal(view.row.progress),
        is_revealed=True,
        **asked({}),
    )


def asked(fields: Mapping[str, str]) -> dict[str, Any]:
    """What the template is told besides the job."""
    return {
        "warnings": fields.get("log") == "warnings",
        "attempt": read_attempt(fields.get("attempt", "")),
        "everything": "all" in fields,
        "run": uuid4(),
        "priority_max": PRIORITY_MAX,
        "masks": masks,
        "plain": plain,
        "limits": job_page,
    }


def look(conn: Connection, job_id: int, fields: Mapping[str, str], seen: Peek) -> View:
    """Raises Refused for a job that is not there."""
    row = job_page.read_job(conn, job_id)
    if row is None:
        raise Refused(GONE, status=404)
    found = tries.list_tries(row)
    shown = found if "all" in fields else found[-SHOWN_MAX:]
    failures = list_failures(row, most=len(row.errors) if "all" in fields else TRACES_MAX)
    return View(
        row=row,
        place=job_page.read_place(conn, job_id),
        answers=explain(read_facts(conn, row, redis=seen)),
        tries=shown,
        hidden_tries=len(found) - len(shown),
        sums=tries.sum_up(row, found),
        failures=failures,
        failures_max=len(row.errors),
        log=job_page.list_log(
            conn,
            job_id,
            attempt=read_attempt(fields.get("attempt", "")),
            warnings=fields.get("log") == "warnings",
        ),
        logged=job_page.list_logged(conn, job_id),
        family=job_page.list_family(
            conn, job_id, rows_max=FAMILY_ALL_MAX if "all" in fields else FAMILY_MAX
        ),
        relatives=count_relatives(conn, job_id),
        actions=list_actions(conn, job_id),
    )


def read_attempt(text: str) -> int | None:
    """Whose log is asked for; None for the newest."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def count_relatives(conn: Connection, job_id: int) -> dict[str, list[tuple[str, int]]]:
    """By role: states and jobs."""
    found: dict[str, list[tuple[str, int]]] = {}
    for role, state, jobs in job_page.count_family(conn, job_id):
        found.setdefault(role, []).append((state, jobs))
    return found


def list_failures(row: JobRow, *, most: int) -> list[Failure]:
    return [
        Failure(
            attempt=tries.number_of(entry),
            at=tries.moment_of(entry.get("at")),
            message=plain.one_line(entry.get("error")),
            parts=plain.fold(entry.get("trace")),
            trace=plain.lines(entry.get("trace")),
            trace_chars=entry.get("trace_chars") or 0,
        )
        for entry in reversed(row.errors[-most:])
    ]


def list_actions(conn: Connection, job_id: int) -> list[Action]:
    """Those that would change this job now."""
    judged = bulk_rows.judge_jobs(conn, [job_id], fit=True)
    return [each for each in ACTIONS.values() if judged and each.skips(judged[0]) is None]


def change(site: Site, request: Request, form: Form) -> Response:
    """One of the actions of the list of jobs, for this job alone."""
    job_id = path_job(request)
    action = ACTIONS.get(form.one("action"))
    if action is None:
        raise Refused("There is no such action.")
    priority = 0
    if action.name == "priority":
        priority = form.number("priority", least=-PRIORITY_MAX, most=PRIORITY_MAX)
    try:
        run = UUID(form.one("run"))
    except ValueError:
        raise Refused("This form cannot be read.") from None
    with site.read() as conn:
        judged = bulk_rows.judge_jobs(conn, [job_id], fit=True)
    if not judged:
        raise Refused(GONE, status=404)
    if reason := action.skips(judged[0]):
        raise Refused(f"Nothing was done: {reason}.", status=409)
    order = Order(run, action, (job_id,), filter="", why=form.why, priority=priority)
    outcome = carry_out(site, request, order)
    if outcome.again:
        return site.back(form, "That was done before.")
    if not outcome.changed:
        return site.back(form, f"Job {job_id} changed meanwhile: nothing was done.")
    return site.back(form, f"Job {job_id}: {action.done}.")


def path_job(request: Request) -> int:
    """Raises Refused for what is no id of a job, too large ones included."""
    text = request.path_params["job_id"]
    if not (text.isascii() and text.isdigit() and len(text) <= bulk.ID_DIGITS_MAX):
        raise Refused(GONE, status=404)
    return int(text)


def is_amount(value: Any) -> TypeGuard[int | float]:
    """Whether it can be a count, or a part of one: not so what only JSON calls a number."""
    return type(value) in (int, float) and abs(value) <= AMOUNT_MAX


def is_id(value: object) -> bool:
    try:
        return str(UUID(str(value))) == str(value).lower()
    except ValueError:
        return False
