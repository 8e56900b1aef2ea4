"""The pages of tests/samples/pages and what must and must not be read from each.

Beside NAME.html lies NAME.expect, a line for each claim: `+` text that is read, `-` text that is
left out, `= kind: text` a block of that kind with the text (`⏎` is a line break), `~ fact: value`.
"""

from dataclasses import dataclass
from pathlib import Path

from pipelines.knowledge.document import Document

FOLDER = Path(__file__).parents[1] / "samples" / "pages"


@dataclass(frozen=True, slots=True)
class Claim:
    sign: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.sign} {self.kind + ': ' if self.kind else ''}{self.text}"


@dataclass(frozen=True, slots=True)
class SamplePage:
    name: str
    body: bytes
    claims: tuple[Claim, ...]

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]


def load_sample_pages() -> list[SamplePage]:
    return [_load(path) for path in sorted(FOLDER.glob("*.html"))]


def _load(path: Path) -> SamplePage:
    lines = path.with_suffix(".expect").read_text(encoding="utf-8").splitlines()
    return SamplePage(path.stem, path.read_bytes(), tuple(map(_parse, lines)))


def _parse(line: str) -> Claim:
    sign, text = line[0], line[2:]
    kind, _, value = text.partition(": ") if sign in "=~" else ("", "", text)
    return Claim(sign, kind, value.replace("⏎", "\n"))


def find_broken_claims(document: Document, claims: tuple[Claim, ...]) -> list[str]:
    return [str(claim) for claim in claims if not _holds(claim, document)]


def _holds(claim: Claim, document: Document) -> bool:
    if claim.sign == "~":
        return bool(getattr(document, claim.kind) == claim.text)
    if claim.sign == "=":
        blocks = (document.text[b.start : b.end] for b in document.blocks if b.kind == claim.kind)
        return any(claim.text in block for block in blocks)
    is_read = " ".join(claim.text.split()) in " ".join(document.text.split())
    return is_read == (claim.sign == "+")
