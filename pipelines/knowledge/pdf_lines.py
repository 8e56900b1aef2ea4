"""A PDF page -> its lines in the order the file draws them, with where and how they stand."""

import ctypes
import math
import re
from dataclasses import dataclass, field
from statistics import median

import pypdfium2
import pypdfium2.raw as pdfium

# A gap between two words wider than this many letter sizes parts two cells.
CELL_GAP = 0.7
FONT_NAME_BYTES_MAX = 256

# Where pdfium sees a word cut at the end of a line it writes one of its own signs, and no break.
_LINE = re.compile(r"[^\r\n\x02\ufffe]+[\x02\ufffe]?")
_WORD = re.compile(r"\S+")
_BOLD = re.compile(r"bold|black|heavy|semibold|demi|-bd\b|cmbx", re.IGNORECASE)
_MONO = re.compile(
    r"mono|courier|consol|menlo|typewriter|cmtt|fixed|inconsolata|code", re.IGNORECASE
)
# pdfium's signs for a hyphen at a line's end.
_HYPHEN_SIGNS = str.maketrans({"\x02": "-", "\ufffe": "-", "\u2010": "-", "\u00ad": "-"})
_UNSEEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\u200b\ufeff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Segment:
    """Words of a line that stand together, apart from the others: perhaps a table's cell."""

    text: str
    left: float
    right: float


@dataclass(slots=True)
class Line:
    """Places are in points from the page's lower left; `bottom` is the base line."""

    text: str
    page: int
    left: float
    right: float
    bottom: float
    size: float
    is_bold: bool = False
    is_mono: bool = False
    segments: list[Segment] = field(default_factory=list)

    @property
    def top(self) -> float:
        return self.bottom + self.size


def read_lines(page: pypdfium2.PdfPage, number: int) -> list[Line]:
    """Read a page's lines; `number` is the page's index."""
    text_page = page.get_textpage()
    try:
        return _PageReader(page, text_page, number).read()
    finally:
        text_page.close()


class _PageReader:
    def __init__(
        self, page: pypdfium2.PdfPage, text_page: pypdfium2.PdfTextPage, number: int
    ) -> None:
        self._text_page = text_page
        self._number = number
        self._turn = page.get_rotation() // 90
        _, _, self._width, self._height = page.get_mediabox()
        self._box = pdfium.FS_RECTF()
        self._matrix = pdfium.FS_MATRIX()
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self._name = ctypes.create_string_buffer(FONT_NAME_BYTES_MAX)
        self._flags = ctypes.c_int()

    def read(self) -> list[Line]:
        text = self._read_text()
        lines = (self._read_line(text, match) for match in _LINE.finditer(text))
        return [line for line in lines if line is not None]

    def _read_text(self) -> str:
        """The page's text, one character for each of pdfium's."""
        text: str = self._text_page.get_text_range(errors="replace")
        count = self._text_page.count_chars()
        if len(text) == count:
            return text
        codes = (pdfium.FPDFText_GetUnicode(self._text_page, index) for index in range(count))
        return "".join(chr(code) if 0 < code < 0x110000 else " " for code in codes)

    def _read_line(self, text: str, match: re.Match[str]) -> Line | None:
        words = [word.span() for word in _WORD.finditer(text, *match.span())]
        if not words:
            return None
        first, last = words[0][0], words[-1][1] - 1
        left, right = self._find_box(first)[0], self._find_box(last)[2]
        size = self._find_size(words)
        fonts = (self._find_font(first), self._find_font(last))
        line = Line(_clean(match[0]), self._number, left, right, self._find_base(first), size)
        line.is_bold = all(map(_BOLD.search, fonts))
        line.is_mono = all(map(_MONO.search, fonts))
        if len(words) > 1 and not line.is_mono:
            line.segments = self._cut(text, words, CELL_GAP * size)
        return line if line.text else None

    def _cut(self, text: str, words: list[tuple[int, int]], gap_min: float) -> list[Segment]:
        """Cut the line where the gaps are wide; empty when it is in one piece."""
        starts = [0]
        edges = [(self._find_box(start)[0], self._find_box(end - 1)[2]) for start, end in words]
        for index in range(1, len(words)):
            if edges[index][0] - edges[index - 1][1] > gap_min:
                starts.append(index)
        if len(starts) == 1:
            return []
        ends = [*(start - 1 for start in starts[1:]), len(words) - 1]
        return [
            Segment(_clean(text[words[a][0] : words[z][1]]), edges[a][0], edges[z][1])
            for a, z in zip(starts, ends, strict=True)
        ]

    def _find_box(self, index: int) -> tuple[float, float, float, float]:
        """Left, bottom, right, top of a character as the page is shown."""
        box = self._box
        pdfium.FPDFText_GetLooseCharBox(self._text_page, index, box)
        if self._turn == 0:
            return box.left, box.bottom, box.right, box.top
        if self._turn == 1:
            return box.bottom, self._width - box.right, box.top, self._width - box.left
        if self._turn == 2:
            width, height = self._width, self._height
            return width - box.right, height - box.top, width - box.left, height - box.bottom
        return self._height - box.top, box.left, self._height - box.bottom, box.right

    def _find_size(self, words: list[tuple[int, int]]) -> float:
        """The size of most letters: a word in another font must not set a line apart."""
        places = {words[0][0], words[len(words) // 2][0], words[-1][0]}
        return median(map(self._find_char_size, places))

    def _find_char_size(self, index: int) -> float:
        """The font's size as the page is shown: files may scale it."""
        pdfium.FPDFText_GetMatrix(self._text_page, index, self._matrix)
        scale = math.hypot(self._matrix.c, self._matrix.d)
        return float(pdfium.FPDFText_GetFontSize(self._text_page, index)) * scale

    def _find_base(self, index: int) -> float:
        pdfium.FPDFText_GetCharOrigin(self._text_page, index, self._x, self._y)
        x, y = self._x.value, self._y.value
        return (y, self._width - x, self._height - y, x)[self._turn]

    def _find_font(self, index: int) -> str:
        size = pdfium.FPDFText_GetFontInfo(
            self._text_page, index, self._name, FONT_NAME_BYTES_MAX, self._flags
        )
        return self._name.value.decode("utf-8", "replace") if size <= FONT_NAME_BYTES_MAX else ""


def _clean(text: str) -> str:
    return " ".join(_UNSEEN.sub("", text.translate(_HYPHEN_SIGNS)).split())
