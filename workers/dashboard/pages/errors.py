"""What is new or surging, who is hit, can it be replayed?"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import psycopg
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import errors, job_list
from db.errors import Group, Sample
from db.pool import Connection
from workers.dashboard import charts, masks
from workers.dashboard.forms import Refused, query_of
from workers.dashboard.site import Site, address

WINDOWS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
PARTS = 30
GROUPS_MAX = 50
# So many of the newest discarded jobs are grouped; a page shall not read all there were.
LOOKED_MAX = 20_000
GROUP_LOOKED_MAX = 5_000
# Grouping one takes a tenth of a millisecond.
UNGROUPED_MAX = 500
UNGROUPED_LOOKED_MAX = 2_000
# The newest fifth of the window against the four before it.
SURGE_PARTS = PARTS // 5
SURGE_TIMES = 3.0
SURGE_JOBS_MIN = 5
FINGERPRINT = re.compile(r"[0-9a-f]{12}")
TRACE_LINES_MAX = 80
LINE_CHARS_MAX = 240
OWN = re.compile(r"/(?:workers|pipelines|db|schedules)/")
WORDS = {"new": "stopped", "surging": "late", "steady": ""}


@dataclass(frozen=True, slots=True)
class Line:
    """`css` is q for frames of others, mark for the error itself."""

    text: str
    css: str = ""


def routes(site: Site) -> list[Route]:
    return [
        site.page("/errors", partial(list_errors, site)),
        site.page("/errors/{fingerprint}", partial(show_group, site)),
    ]


def list_errors(site: Site, request: Request) -> Response:
    name, window = read_window(query_of(request).get("window", "1h"))
    with site.read() as conn:
        now, found = read_groups(conn, window)
    if any(not group.fingerprint for group in found) and group_errors(site, now - window):
        with site.read() as conn:
            now, found = read_groups(conn, window)
    with site.read() as conn:
        names = name_tenants(conn, [tenant for group in found for tenant, _ in group.most_hit])
    groups = [group for group in found if group.fingerprint]
    verdicts = {group.fingerprint: judge(group, since=now - window) for group in groups}
    return site.show(
        request,
        "errors.html",
        groups=groups,
        ungrouped=sum(group.jobs for group in found if not group.fingerprint),
        names=names,
        verdicts=verdicts,
        words=WORDS,
        news=sum(verdict == "new" for verdict in verdicts.values()),
        total=sum(group.jobs for group in groups),
        partial=sum(group.jobs - group.retrying for group in found) >= LOOKED_MAX,
        looked_max=LOOKED_MAX,
        window=name,
        windows=WINDOWS,
        part_s=window.total_seconds() / PARTS,
        spark=partial(draw, window=name),
        title=title,
    )


def read_groups(conn: Connection, window: timedelta) -> tuple[datetime, list[Group]]:
    job_list.plan_for_pages(conn)
    now = job_list.read_now(conn)
    found = errors.list_groups(
        conn,
        since=now - window,
        until=now,
        parts=PARTS,
        groups_max=GROUPS_MAX,
        looked_max=LOOKED_MAX,
    )
    return now, found


def group_errors(site: Site, since: datetime) -> int:
    """Workers group what they end; what others wrote is grouped when somebody looks."""
    with suppress(psycopg.Error), site.write() as conn:
        job_list.plan_for_pages(conn)
        return errors.group_errors(
            conn, since=since, looked_max=UNGROUPED_LOOKED_MAX, rows_max=UNGROUPED_MAX
        )
    return 0


def show_group(site: Site, request: Request) -> Response:
    fingerprint = request.path_params["fingerprint"]
    if not FINGERPRINT.fullmatch(fingerprint):
        raise Refused("There is no such group of errors.", status=404)
    with site.read() as conn:
        job_list.plan_for_pages(conn)
        now = job_list.read_now(conn)
        sample = errors.read_sample(conn, fingerprint)
        if sample is None:
            raise Refused("No job is left whose last error is of this group.", status=404)
        tally = errors.count_group(
            conn,
            fingerprint,
            since=now - WINDOWS["24h"],
            until=now,
            parts=PARTS * 2,
            looked_max=GROUP_LOOKED_MAX,
        )
        names = name_tenants(conn, [tenant for tenant, _ in tally.most_hit])
    return site.show(
        request,
        "error.html",
        fingerprint=fingerprint,
        sample=sample,
        tally=tally,
        names=names,
        heading=heading(sample),
        lines=trace_lines(sample.trace or ""),
        chart=draw_day(tally.counts, now),
        looked_max=GROUP_LOOKED_MAX,
        open_jobs=tally.states.get("discarded", 0) + tally.states.get("retryable", 0),
        jobs_at=partial(jobs_at, fingerprint),
    )


def read_window(name: str) -> tuple[str, timedelta]:
    if name not in WINDOWS:
        raise Refused(f"The window is one of {', '.join(WINDOWS)}, not {name[:20]!r}.")
    return name, WINDOWS[name]


def name_tenants(conn: Connection, tenants: Iterable[str]) -> Mapping[str, str]:
    found = job_list.name_tenants(conn, [UUID(tenant) for tenant in set(tenants)])
    return {str(tenant): name for tenant, name in found.items()}


def judge(group: Group, *, since: datetime) -> str:
    """new: never seen before the window; surging: much more often than before; else steady."""
    if group.first_at is not None and group.first_at >= since:
        return "new"
    recent, before = sum(group.counts[-SURGE_PARTS:]), sum(group.counts[:-SURGE_PARTS])
    usual = before / (PARTS / SURGE_PARTS - 1)
    surging = recent >= SURGE_JOBS_MIN and recent > SURGE_TIMES * usual
    return "surging" if surging else "steady"


def title(group: Group) -> tuple[str, str]:
    """The error's type, and what it says; one of them may be empty."""
    name = (group.type or "").rpartition(".")[2]
    return masks.cut(name, 60), masks.addresses(group.error, 200)


def heading(sample: Sample) -> str:
    return masks.cut(sample.masked, 160) or "An error without a message"


def draw(group: Group, *, window: str) -> Markup:
    return charts.spark(group.counts, label=f"Jobs of this group, last {window}", css="fb")


def draw_day(counts: Sequence[int], now: datetime) -> Markup:
    step = WINDOWS["24h"] / len(counts)
    return charts.columns(
        [charts.Series("jobs", list(counts), "fb")],
        at=[now - WINDOWS["24h"] + step * place for place in range(len(counts))],
        unit="in 24 min",
        label="Jobs of this group by when they last failed, last 24 hours",
        end="now",
    )


def trace_lines(trace: str) -> list[Line]:
    """The end of a trace, each line cut and made harmless; frames of others are dimmed."""
    texts = [masks.addresses(line.rstrip(), LINE_CHARS_MAX) for line in trace.splitlines()]
    raw = trace.splitlines()
    found = [
        Line("  " * indent(line) + text, shade(line))
        for line, text in zip(raw, texts, strict=True)
        if text
    ]
    left_out = len(found) - TRACE_LINES_MAX
    if left_out > 0:
        return [Line(f"… {left_out} lines before these", "q"), *found[left_out:]]
    return found


def indent(line: str) -> int:
    return min((len(line) - len(line.lstrip(" "))) // 2, 4)


def shade(line: str) -> str:
    if not line.startswith(" ") and not line.startswith("Traceback"):
        return "mark"
    is_frame = line.lstrip().startswith("File ")
    return "" if is_frame and OWN.search(line) and "site-packages" not in line else "q"


def jobs_at(fingerprint: str, states: str = "", **more: str) -> str:
    """The list of the group's jobs."""
    text = f"group:{fingerprint}" + (f" state:{states}" if states else "")
    return address("/jobs", {"q": text, **more})
