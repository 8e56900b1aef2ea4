"""How well the content of pages is found, next to others on the same pages; losses first.

Two sets: articles that people marked, which are not part of the project (EXTRACTION_PAGES names a
folder laid out like scrapinghub's article-extraction-benchmark: `ground-truth.json` of {id:
{articleBody, url}} and `html/<id>.html.gz`; scored as there: multisets of 4 words, each page
counted as fractions), and tests/samples/pages, scored by what must and must not be read.
"""

import gzip
import importlib
import json
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import trafilatura

from pipelines.errors import Permanent
from pipelines.knowledge.extract import extract
from tests.unit.expected_pages import SamplePage, load_sample_pages

SHINGLE_WORDS = 4
WORST_PAGES = 10
SAMPLE_CHARS = 70
# Each extractor reads the pages so often; the speed is the median with its range.
ROUNDS = int(os.environ.get("EXTRACTION_ROUNDS", "3"))
OURS = "ours"
WORD = re.compile(r"\w+")
SIGNS = re.compile(r"[\W_]+")
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


@dataclass(frozen=True)
class Total:
    f1: float
    precision: float
    recall: float


def main() -> None:
    extractors = find_extractors()
    report_samples(extractors)
    folder = os.environ.get("EXTRACTION_PAGES")
    if folder:
        report_articles(extractors, load_pages(Path(folder)))
    else:
        print("EXTRACTION_PAGES is not set: there are no marked articles to measure on")


def find_extractors() -> dict[str, Extractor]:
    """Ours, trafilatura's three ways, and those of resiliparse and readability-lxml if here."""
    found: dict[str, Extractor] = {
        OURS: extract_text,
        "trafilatura": lambda body: trafilatura.extract(body, include_comments=False) or "",
        "trafilatura, fast": lambda body: (
            trafilatura.extract(body, fast=True, include_comments=False) or ""
        ),
        "trafilatura, favor_precision": lambda body: (
            trafilatura.extract(body, favor_precision=True, include_comments=False) or ""
        ),
    }
    print(f"trafilatura {version('trafilatura')}, lxml {version('lxml')}", end="")
    for name, module, make in (
        ("resiliparse", "resiliparse.extract.html2text", make_resiliparse),
        ("readability-lxml", "readability", make_readability),
    ):
        try:
            found[name] = make(importlib.import_module(module))
            print(f", {name} {version(name)}", end="")
        except ImportError:
            print(f", {name} not installed", end="")
    print(f"; {ROUNDS} rounds")
    return found


def make_resiliparse(module: Any) -> Extractor:
    decode = importlib.import_module("resiliparse.parse.encoding").bytes_to_str

    def read(body: bytes) -> str:
        return str(module.extract_plain_text(decode(body), main_content=True))

    return read


def make_readability(module: Any) -> Extractor:
    from lxml import html

    def read(body: bytes) -> str:
        summary = module.Document(body).summary()
        return " ".join(html.fromstring(summary).itertext()) if summary else ""

    return read


def extract_text(body: bytes) -> str:
    try:
        return extract(body, content_type="text/html").text
    except Permanent:
        return ""


def report_samples(extractors: dict[str, Extractor]) -> None:
    """Print for each kind of page which share of what must be read, and of noise, came out."""
    pages = load_sample_pages()
    kinds = sorted({page.kind for page in pages})
    print(f"\n{len(pages)} sample pages: % of wanted text read / % of noise read")
    print(f"{'':30}" + "".join(f"{kind:>12}" for kind in kinds))
    for name, extractor in extractors.items():
        texts = {page.name: run(extractor, page.body) for page in pages}
        cells = (judge_kind([p for p in pages if p.kind == kind], texts) for kind in kinds)
        print(f"{name:30}" + "".join(f"{cell:>12}" for cell in cells))


def judge_kind(pages: list[SamplePage], texts: dict[str, str]) -> str:
    """Wanted texts are compared by letters and digits: peers write tables and lists otherwise."""
    found: dict[str, list[bool]] = {"+": [], "-": []}
    for page in pages:
        for claim in page.claims:
            if claim.sign == "-":
                found["-"].append(claim.text in texts[page.name])
            elif claim.sign != "~":
                found["+"].append(squeeze(claim.text) in squeeze(texts[page.name]))
    return f"{share(found['+'])}/{share(found['-'])}"


def share(hits: list[bool]) -> int:
    return round(100 * sum(hits) / max(len(hits), 1))


def squeeze(text: str) -> str:
    return SIGNS.sub("", text)


def run(extractor: Extractor, body: bytes) -> str:
    try:
        return extractor(body)
    except Exception as error:  # noqa: BLE001 - a peer that fails on a page has read nothing
        print(f"  failed: {type(error).__name__}")
        return ""


def report_articles(extractors: dict[str, Extractor], pages: list[Page]) -> None:
    print(f"\n{len(pages)} marked articles")
    texts, totals = {}, {}
    for name, extractor in extractors.items():
        texts[name], speed = measure(extractor, pages)
        totals[name] = sum_up(pages, texts[name])
        total = totals[name]
        print(
            f"{name:30} F1 {total.f1:.4f}  P {total.precision:.4f}  R {total.recall:.4f}  {speed}"
        )
    report_losses(extractors, pages, texts)
    report_worst(pages, texts[OURS])


def measure(extractor: Extractor, pages: list[Page]) -> tuple[list[str], str]:
    speeds, texts = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        texts = [run(extractor, page.body) for page in pages]
        speeds.append(len(pages) / (time.perf_counter() - began))
    spread = f"{min(speeds):.0f}-{max(speeds):.0f}"
    return texts, f"{statistics.median(speeds):.0f} pages/s ({spread})"


def sum_up(pages: list[Page], texts: list[str]) -> Total:
    scores = [score(page.article, text) for page, text in zip(pages, texts, strict=True)]
    right = sum(s.right for s in scores)
    precision = right / (right + sum(s.wrong for s in scores))
    recall = right / (right + sum(s.missed for s in scores))
    return Total(2 * precision * recall / (precision + recall), precision, recall)


def report_losses(
    extractors: dict[str, Extractor], pages: list[Page], texts: dict[str, list[str]]
) -> None:
    """Print on how many pages each peer does better than we do, the losses of ours first."""
    for name in extractors:
        if name != OURS:
            gaps = [
                score(page.article, theirs).f1 - score(page.article, ours).f1
                for page, theirs, ours in zip(pages, texts[name], texts[OURS], strict=True)
            ]
            lost, won = sum(g > 0.01 for g in gaps), sum(g < -0.01 for g in gaps)
            print(f"  against {name}: lost {lost}, won {won} of {len(pages)} pages by > 0.01")


def report_worst(pages: list[Page], texts: list[str]) -> None:
    print("\nour worst pages, and why:")
    scored = [
        (score(page.article, text), page, text) for page, text in zip(pages, texts, strict=True)
    ]
    for one, page, text in sorted(scored, key=lambda entry: entry[0].f1)[:WORST_PAGES]:
        print(f"  {one.f1:.3f}  wrong {one.wrong:.2f}  missed {one.missed:.2f}  {page.url[:90]}")
        print(f"         {explain(page.article, text)}")


def explain(truth: str, found: str) -> str:
    """The longest line on each side that the other has not, by its words."""
    extra, missed = find_longest_line(found, truth), find_longest_line(truth, found)
    reasons = [f"{label}: {line!r}" for label, line in (("extra", extra), ("missed", missed))]
    return "; ".join(reasons)


def find_longest_line(text: str, other: str) -> str:
    known = " ".join(WORD.findall(other))
    lines = (line.strip() for line in text.splitlines())
    alone = (line for line in lines if line and " ".join(WORD.findall(line)) not in known)
    return max(alone, key=len, default="")[:SAMPLE_CHARS]


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
