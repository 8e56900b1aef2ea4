"""What is wrong, in words: the evidence, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["stop", "hold"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that keeps work from flowing. "stop": nothing runs; "hold": less than could.

    `key` names it for as long as it lasts. `runbook` is the slug of its page under /runbooks,
    `links` are (word, path of the dashboard).
    """

    key: str
    level: Level
    title: str
    evidence: str
    do: str
    runbook: str
    links: tuple[tuple[str, str], ...] = ()
