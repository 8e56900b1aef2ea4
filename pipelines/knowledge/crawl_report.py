"""What the owner of a crawled site is told at the end. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from db.crawl_reports import Costs, StateCount

FAILURES_MAX = 10
REASON_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Result:
    """`error` when nothing of the site is searchable; `is_news` when anything changed or failed."""

    report: dict[str, Any]
    error: str | None
    is_news: bool

    @property
    def status(self) -> str:
        return "completed" if self.error is None else "failed"


def sum_up(
    counts: Sequence[StateCount],
    costs: Costs,
    failures: Sequence[tuple[str, str]],
    *,
    removed: int,
    limits_hit: Sequence[str],
) -> Result:
    pages = {count.state: count.pages for count in counts}
    kept = next((count for count in counts if count.state == "kept"), None)
    indexed, not_indexed, unchanged = (
        (kept.indexed, kept.not_indexed, kept.unchanged) if kept else (0, 0, 0)
    )
    failed = pages.get("failed", 0) + pages.get("gone", 0) + not_indexed
    report = {
        "stage": "done",
        "pages_found": sum(pages.values()),
        "pages_indexed": indexed,
        "pages_unchanged": unchanged,
        "pages_duplicate": pages.get("duplicate", 0) + pages.get("redirected", 0),
        "pages_disallowed": pages.get("disallowed", 0),
        "pages_noindex": pages.get("noindex", 0),
        "pages_failed": failed,
        "pages_removed": removed,
        "pages_left": pages.get("queued", 0),
        "documents": indexed + unchanged,
        "chunks_added": costs.chunks_added,
        "chunks_kept": costs.chunks_kept,
        "chunks_removed": costs.chunks_removed,
        "tokens_embedded": costs.tokens_embedded,
        "cost_usd": str(costs.cost_usd),
        "failures": [describe(url, reason) for url, reason in failures[:FAILURES_MAX]],
        "limits_hit": list(limits_hit),
    }
    return Result(report, error_of(indexed + unchanged, failures), is_news=is_news(report))


def describe(url: str, reason: str) -> dict[str, str]:
    return {"url": url, "reason": reason[:REASON_CHARS_MAX]}


def error_of(searchable: int, failures: Sequence[tuple[str, str]]) -> str | None:
    if searchable:
        return None
    reason = failures[0][1] if failures else "none of them is searchable."
    return f"No page of this site could be indexed: {reason[:REASON_CHARS_MAX]}"


def is_news(report: dict[str, Any]) -> bool:
    return any(report[name] for name in ("pages_indexed", "pages_failed", "pages_removed"))
