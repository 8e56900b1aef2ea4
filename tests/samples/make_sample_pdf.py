# /// script
# requires-python = ">=3.11"
# dependencies = ["markdown-it-py>=4", "reportlab>=4.4"]
# ///
# mypy: disable-error-code="import-untyped, import-not-found"
"""Write `workers/sample/trust-report.pdf` from `trust-report.md`, by `uv run` on this file.

The PDF is committed, so the project itself does not depend on reportlab. The same text gives the
same bytes.
"""

import html
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    Paragraph,
    SimpleDocTemplate,
    Table,
    TableStyle,
)

TEXT = Path(__file__).with_name("trust-report.md")
REPORT = Path(__file__).parents[2] / "workers" / "sample" / "trust-report.pdf"
MARGIN = 24 * mm
SOFT, TINT = (colors.HexColor(code) for code in ("#5a6478", "#eef2ff"))

BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10.5, leading=15.5, spaceAfter=8)
CELL = ParagraphStyle("cell", parent=BODY, fontSize=9, leading=12, spaceAfter=0)
HEAD = ParagraphStyle("head", parent=CELL, fontName="Helvetica-Bold")
HEADINGS = {
    "h1": ParagraphStyle("h1", parent=HEAD, fontSize=26, leading=32, spaceAfter=14),
    "h2": ParagraphStyle(
        "h2", parent=HEAD, fontSize=16, leading=20, spaceBefore=18, spaceAfter=8, keepWithNext=1
    ),
    "h3": ParagraphStyle(
        "h3", parent=HEAD, fontSize=12, leading=15, spaceBefore=8, spaceAfter=5, keepWithNext=1
    ),
}
GRID = TableStyle(
    [
        ("BACKGROUND", (0, 0), (-1, 0), TINT),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, SOFT),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
)


def write_report() -> None:
    tokens = MarkdownIt().enable("table").parse(TEXT.read_text(encoding="utf-8"))
    report = SimpleDocTemplate(
        str(REPORT),
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN + 6 * mm,
        bottomMargin=MARGIN,
        title="Avivro Trust Report 2026",
        author="Avivro contributors",
        subject="How the hosted edition of Avivro is operated",
        lang="en",
        invariant=1,
    )
    report.build(list(lay_out(iter(tokens), report.width)), onFirstPage=frame, onLaterPages=frame)


def lay_out(tokens: Iterator[Token], width: float) -> Iterator[Flowable]:
    for token in tokens:
        if token.type == "heading_open":
            yield Paragraph(inline(next(tokens)), HEADINGS[token.tag])
        elif token.type == "paragraph_open":
            yield Paragraph(inline(next(tokens)), BODY)
        elif token.type == "table_open":
            yield table(tokens, width)


def table(tokens: Iterator[Token], width: float) -> Table:
    rows: list[list[Paragraph]] = []
    for token in tokens:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            style = HEAD if token.type == "th_open" else CELL
            rows[-1].append(Paragraph(inline(next(tokens)), style))
    columns = len(rows[0])
    grid = Table(rows, colWidths=[width / columns] * columns, repeatRows=1, style=GRID)
    grid.spaceBefore, grid.spaceAfter = 6, 12
    return grid


def inline(token: Token) -> str:
    """The one-line markup that reportlab understands."""
    tags = {"strong_open": "<b>", "strong_close": "</b>", "em_open": "<i>", "em_close": "</i>"}
    parts = [tags.get(child.type) or html.escape(child.content) for child in token.children or []]
    return "".join(parts)


def frame(canvas: Canvas, report: SimpleDocTemplate) -> None:
    """Draw what every page repeats: real reports have running heads, so extraction must cope."""
    width, height = A4
    canvas.saveState()
    canvas.setFont("Helvetica", 8.5)
    canvas.setFillColor(SOFT)
    canvas.drawString(MARGIN, height - 16 * mm, "Avivro Trust Report 2026")
    canvas.drawRightString(width - MARGIN, height - 16 * mm, "Public")
    canvas.drawString(MARGIN, 14 * mm, "avivro.example/trust")
    canvas.drawRightString(width - MARGIN, 14 * mm, f"Page {report.page}")
    canvas.restoreState()


if __name__ == "__main__":
    write_report()
