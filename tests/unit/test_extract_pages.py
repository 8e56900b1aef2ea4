"""Pages of the kinds customers have, against what a person would copy out of them."""

from pathlib import Path

import pytest

from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from tests.unit.expected_pages import SamplePage, find_broken_claims, load_sample_pages

SAMPLES = Path(__file__).parents[1] / "samples" / "extract"
PAGES = sorted(path.stem for path in SAMPLES.glob("*.html"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_as_its_outline_says(name: str) -> None:
    body = (SAMPLES / f"{name}.html").read_bytes()

    document = extract(body, content_type="text/html")

    assert write_outline(document) == (SAMPLES / f"{name}.outline").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", load_sample_pages(), ids=lambda page: str(page.name))
def test_a_page_of_every_kind_and_maker_is_read_whole_and_clean(page: SamplePage) -> None:
    document = extract(page.body, content_type="text/html")

    assert find_broken_claims(document, page.claims) == []


def write_outline(document: Document) -> str:
    """The document's facts, then every block with its kind, its place and its text."""
    lines = [f"title: {document.title}", f"language: {document.language}", ""]
    for block in document.blocks:
        kind = f"{block.kind} {block.level}" if block.level else block.kind
        lines.append(f"[{kind}] {' > '.join(block.heading_path)}")
        if block.header_end > block.start:
            lines.append(document.text[block.start : block.header_end])
            lines.append(f"(rows){document.text[block.header_end : block.end]}")
        else:
            lines.append(document.text[block.start : block.end])
        lines.append("")
    return "\n".join(lines)
