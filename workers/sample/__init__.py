"""The knowledge base that `avivro demo` reads: a small site, a handbook and a PDF report."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from workers.sample.server import Routes, serve_routes

ROOT = Path(__file__).parent
SITE = ROOT / "site"
PAGES = tuple(sorted(SITE.rglob("*.html")))
FILES = (ROOT / "handbook.md", ROOT / "trust-report.pdf")


@dataclass(frozen=True, slots=True)
class Question:
    """What a customer would ask. `phrase` stands in the one passage that answers it.

    `document` is the path of that passage's document below the base URL of `serve()`.
    """

    text: str
    document: str
    phrase: str


QUESTIONS = [
    Question(
        text="Do I get a refund if I cancel the yearly plan?",
        document="pricing.html",
        phrase="within 30 days of the first payment",
    ),
    Question(
        text="Where are the backups stored, and how long are they kept?",
        document="trust-report.pdf",
        phrase="kept for 35 days in Dublin",
    ),
    Question(
        text="How do I correct a wrong answer?",
        document="handbook.md",
        phrase="point at the agent's answer and choose",
    ),
]


def routes() -> Routes:
    """Every document by its URL path; `/` is the home page."""
    pages = {f"/{page.relative_to(SITE).as_posix()}": page for page in PAGES}
    files = {f"/{file.name}": file for file in FILES}
    return {"/": SITE / "index.html", **pages, **files}


def serve() -> AbstractContextManager[str]:
    """Serve the sample on a free local port; the value is the base URL, without a final slash."""
    return serve_routes(routes())
