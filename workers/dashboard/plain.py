"""Texts of several lines that strangers wrote, and traces: fit to stand in a `pre`."""

import re
from dataclasses import dataclass

from pipelines.counting import plural
from workers.dashboard import masks

TRACE_FRAMES_MAX = 60
TEXT_CHARS_MAX = 12_000
ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)?|[@-Z\\-_])")
UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
FRAME = re.compile(
    r'  File "(?P<path>[^"]{0,1000})", line (?P<line>[0-9]{1,9})(?:, in (?P<name>.*))?'
)
OWN = re.compile(r"(?:^|/)((?:workers|pipelines|schedules|db)/[^/].*)$")


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines of a trace; `kind` is own, folded or error."""

    kind: str
    text: str


def lines(text: str | None, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Without escapes of terminals, control characters and marks of direction."""
    found = (text or "")[: chars_max + 1]
    plain = UNFIT.sub("", ANSI.sub("", found)).expandtabs(4)
    return plain if len(found) <= chars_max else f"{plain[:chars_max]}{masks.HIDDEN}"


def one_line(text: object) -> str:
    return masks.cut(ANSI.sub("", str(text or "")[:2_000]))


def fold(trace: str | None) -> list[Part]:
    """Frames of ours with their line of code; those of libraries only counted; the error last."""
    parts: list[Part] = []
    folded, frames, skipping = 0, 0, False
    for text in lines(trace).split("\n"):
        frame = FRAME.fullmatch(text)
        if frame is not None:
            own = own_path(frame["path"])
            skipping = own is None or frames >= TRACE_FRAMES_MAX
            if skipping:
                folded += 1
                continue
            folded = tell_folded(parts, folded)
            frames += 1
            parts.append(Part("own", f"{own}:{frame['line']} in {frame['name'] or '?'}"))
        elif text.startswith("  "):
            if not skipping and text.strip(" ^~"):
                parts.append(Part("own", text))
        elif text.strip() and not text.startswith("Traceback (most recent call last)"):
            folded = tell_folded(parts, folded)
            parts.append(Part("error", text))
    tell_folded(parts, folded)
    return parts


def tell_folded(parts: list[Part], number: int) -> int:
    if number:
        frames = plural(number, "frame")
        parts.append(Part("folded", f"{masks.HIDDEN} {frames} of libraries folded"))
    return 0


def own_path(path: str) -> str | None:
    """The file within our packages; None for a library's."""
    if "site-packages" in path or "/lib/python" in path:
        return None
    found = OWN.search(path)
    return None if found is None else found[1]
