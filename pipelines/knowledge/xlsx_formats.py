"""Numbers as Excel shows them: dates, percentages, decimals and signs of currency."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

DATE_IDS = frozenset((*range(14, 18), 22, *range(27, 32), 36, *range(50, 59)))
TIME_IDS = frozenset((18, 19, 20, 21, 32, 33, 34, 35, 45, 46, 47))
# What the numbers of built-in formats stand for.
BUILT_IN = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)",
    44: '"$"#,##0.00',
    22: "yyyy-mm-dd hh:mm",
    49: "@",
}
DAYS_MAX = 2_958_466
DECIMALS_MAX = 15
WHOLE_MAX = 1e15

_CURRENCY = re.compile(r"\[\$([^\]-]*)(?:-[^\]]*)?\]")
_BRACKETED = re.compile(r"\[[^\]]*\]")
_QUOTED = re.compile(r'"([^"]*)"|\\(.)|[_*].')
_DIGITS = re.compile(r"[#0?][#0?,]*(?:\.[#0?]+)?")
_LITERAL = "\ue000"

Formatter = Callable[[float], str]


def make_formatter(code: str, *, format_id: int = 0, is_1904: bool = False) -> Formatter:
    """The way to write a number in a format; what is too special is written plainly."""
    code = code or BUILT_IN.get(format_id, "")
    if format_id in DATE_IDS or format_id in TIME_IDS or _is_date(code):
        return lambda number: write_date(number, code=code, is_1904=is_1904)
    sections = [_Section.parse(section) for section in code.split(";")] if code else []
    if not sections or sections[0] is None:
        return write_general
    return lambda number: _write(number, sections)


def write_general(number: float) -> str:
    """A number without a format: no `.0`, no trail of binary rounding."""
    if number != number or number in (float("inf"), float("-inf")):
        return ""
    if number == int(number) and abs(number) < WHOLE_MAX:
        return str(int(number))
    return f"{number:.15g}"


def write_date(number: float, *, code: str = "", is_1904: bool = False) -> str:
    """A date in ISO form, the time of day when there is one; hours where time is counted."""
    if not 0 <= number < DAYS_MAX:
        return write_general(number)
    seconds = round(number * 86_400)
    if re.search(r"\[h+\]", code, re.IGNORECASE):
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if number < 1:
        return _write_time(seconds)
    # Excel counts a 29 February 1900 that never was.
    begin = datetime(1904, 1, 1) if is_1904 else datetime(1899, 12, 30)  # noqa: DTZ001
    if not is_1904 and number < 61:
        begin += timedelta(days=1)
    moment = begin + timedelta(seconds=seconds)
    day = f"{moment:%Y-%m-%d}" if moment.year >= 1000 else moment.date().isoformat()
    of_day = seconds % 86_400
    return f"{day} {_write_time(of_day)}" if of_day else day


def _write_time(seconds: int) -> str:
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{hours:02}:{minutes:02}" + (f":{rest:02}" if rest else "")


def _is_date(code: str) -> bool:
    plain = _BRACKETED.sub("", _QUOTED.sub("", code.partition(";")[0])).lower()
    if "general" in plain or re.search(r"\[h+\]|\[m+\]|\[s+\]", code.lower()):
        return "general" not in plain
    return not re.search(r"[#0?]", re.sub(r"[.:]0+", "", plain)) and bool(
        re.search(r"[ymdhsپ年月日]", plain)
    )


class _Section:
    """One of the parts of a format code: for positive, negative and zero numbers."""

    def __init__(self, before: str, digits: str, after: str) -> None:
        whole, _, decimals = digits.partition(".")
        self.before, self.after = before, after
        self.decimals = min(len(decimals), DECIMALS_MAX)
        self.decimals_min = min(decimals.count("0") + decimals.count("?"), DECIMALS_MAX)
        self.whole_min = min(whole.count("0"), 20)
        self.thousands = "," if "," in whole.rstrip(",") else ""
        self.scale = 1000.0 ** (len(whole) - len(whole.rstrip(",")))
        self.is_percent = "%" in before + after

    @classmethod
    def parse(cls, code: str) -> "_Section | None":
        """None for a format without one plain number in it: fractions, exponents, texts."""
        code = _BRACKETED.sub("", _CURRENCY.sub(lambda sign: f'"{sign[1]}"', code))
        literals: list[str] = []

        def keep(match: re.Match[str]) -> str:
            literals.append(match[1] or match[2] or "")
            return _LITERAL

        plain = _QUOTED.sub(keep, code)
        found = _DIGITS.findall(plain)
        if len(found) != 1 or re.search(r"[eE/@]", plain):
            return None
        before, _, after = plain.partition(found[0])
        texts = iter(literals)
        before, after = (re.sub(_LITERAL, lambda _: next(texts), part) for part in (before, after))
        return cls(before.lstrip(), found[0], after.rstrip())

    def write(self, number: float) -> str:
        number = number * 100 if self.is_percent else number / self.scale
        text = f"{number:{self.thousands}.{self.decimals}f}"
        extra = self.decimals - self.decimals_min
        while extra and text.endswith("0"):
            text, extra = text[:-1], extra - 1
        text = text.rstrip(".") if "." in text else text
        return f"{self.before}{text.zfill(self.whole_min)}{self.after}"


def _write(number: float, sections: "list[_Section | None]") -> str:
    if number != number or abs(number) >= 1e300:
        return ""
    if number < 0 and len(sections) > 1 and sections[1] is not None:
        return sections[1].write(-number)
    first = sections[0]
    if first is None:
        return write_general(number)
    return f"-{first.write(-number)}" if number < 0 else first.write(number)
