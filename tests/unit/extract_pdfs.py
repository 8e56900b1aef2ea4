"""Small PDF files, written by hand, for the tests of extraction."""

from collections.abc import Sequence
from dataclasses import dataclass

FONTS = {"F1": "Helvetica", "F2": "Helvetica-Bold", "F3": "Courier"}
BODY, BOLD, MONO = FONTS


@dataclass(frozen=True)
class Words:
    """A text at a place, in points from the page's lower left."""

    text: str
    x: float = 72
    y: float = 720
    size: float = 11
    font: str = BODY


def stack(*lines: str, top: float = 720, leading: float = 14, size: float = 11) -> list[Words]:
    """Lines of one paragraph, one under the other."""
    return [Words(line, y=top - n * leading, size=size) for n, line in enumerate(lines)]


def make_pdf(*pages: Sequence[Words], title: str | None = None) -> bytes:
    """A PDF of pages in A4 with the standard fonts."""
    kids = " ".join(f"{4 + len(FONTS) + 2 * n} 0 R" for n in range(len(pages)))
    fonts = " ".join(f"/{name} {4 + n} 0 R" for n, name in enumerate(FONTS))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>",
        f"<< /Title ({title or ''}) >>",
        *(
            f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>"
            for name in FONTS.values()
        ),
    ]
    for words in pages:
        content = "\n".join(map(_show, words))
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects) + 2} 0 R"
            f" /Resources << /Font << {fonts} >> >> >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    return _number(objects)


def _show(words: Words) -> str:
    text = words.text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"BT /{words.font} {words.size} Tf {words.x} {words.y} Td ({text}) Tj ET"


def _number(objects: list[str]) -> bytes:
    body, places = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n".encode("cp1252")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    count = len(objects) + 1
    return (
        body
        + (
            f"xref\n0 {count}\n0000000000 65535 f \n{table}"
            f"trailer << /Size {count} /Root 1 0 R /Info 3 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
        ).encode()
    )
