"""How well the article of a page is found: F1 next to trafilatura's on the same pages.

The pages are not part of the project. EXTRACTION_PAGES names a folder laid out like
scrapinghub's article-extraction-benchmark: `ground-truth.json` of {id: {articleBody, url}} and
`html/<id>.html.gz`. Scored as there: multisets of 4 words, each page counted as fractions.
"""

import gzip
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trafilatura

from pipelines.errors import Permanent
from pipelines.knowledge.extract import extract

SHINGLE_WORDS = 4
WORST_PAGES = 10
WORD = re.compile(r"\w+")
Extractor = Callable[[bytes], str]


@dataclass(frozen=True)
class Page:
    url: str
    body: bytes
    article: str


@dataclass(frozen=True)
class Score:
    """Shares of the page's shingles: found rightly, found wrongly, missed."""

    right: float
    wrong: float
    missed: float

    @property
    def f1(self) -> float:
        return 2 * self.right / (2 * self.right + self.wrong + self.missed)


def main() -> None:
    folder = os.environ.get("EXTRACTION_PAGES")
    if not folder:
        print("EXTRACTION_PAGES is not set: there are no pages to measure on")
        return
    pages = load_pages(Path(folder))
    print(f"{len(pages)} pages")
    scores = report("ours", pages, extract_text)
    report("trafilatura, favor_precision", pages, extract_by_trafilatura)
    report("trafilatura, fast", pages, extract_fast_by_trafilatura)
    print("our worst pages:")
    for page, score in sorted(zip(pages, scores, strict=True), key=lambda p: p[1].f1)[:WORST_PAGES]:
        print(f"  {score.f1:.3f}  wrong {score.wrong:.2f}  missed {score.missed:.2f}  {page.url}")


def load_pages(folder: Path) -> list[Page]:
    truth = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    return [
        Page(
            entry.get("url", name),
            gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()),
            entry["articleBody"],
        )
        for name, entry in truth.items()
    ]


def extract_text(body: bytes) -> str:
    try:
        return extract(body, content_type="text/html").text
    except Permanent:
        return ""


def extract_by_trafilatura(body: bytes) -> str:
    return trafilatura.extract(body, favor_precision=True, include_comments=False) or ""


def extract_fast_by_trafilatura(body: bytes) -> str:
    return trafilatura.extract(body, fast=True, include_comments=False) or ""


def report(name: str, pages: list[Page], extractor: Extractor) -> list[Score]:
    began = time.perf_counter()
    texts = [extractor(page.body) for page in pages]
    speed = len(pages) / (time.perf_counter() - began)
    scores = [score(page.article, text) for page, text in zip(pages, texts, strict=True)]
    right = sum(s.right for s in scores)
    precision = right / (right + sum(s.wrong for s in scores))
    recall = right / (right + sum(s.missed for s in scores))
    f1 = 2 * precision * recall / (precision + recall)
    print(f"{name:30} F1 {f1:.4f}  P {precision:.4f}  R {recall:.4f}  {speed:.0f} pages/s")
    return scores


def score(truth: str, found: str) -> Score:
    wanted, had = shingle(truth), shingle(found)
    right = (wanted & had).total()
    total = max(wanted.total() + had.total() - right, 1)
    return Score(right / total, (had.total() - right) / total, (wanted.total() - right) / total)


def shingle(text: str) -> Counter[tuple[str, ...]]:
    """Multiset of runs of 4 words; a shorter text is one run."""
    words = WORD.findall(text)
    if not words:
        return Counter()
    starts = range(max(1, len(words) - SHINGLE_WORDS + 1))
    return Counter(tuple(words[start : start + SHINGLE_WORDS]) for start in starts)
