"""What robots.txt allows our crawler. Pure; Protego matches in linear time."""

import math
from dataclasses import dataclass
from itertools import islice

from protego import Protego

AGENT = "AvivroBot"
# Longer waits would make a crawl of a hundred pages take an hour.
CRAWL_DELAY_S_MAX = 30.0
SITEMAPS_MAX = 100


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one origin, as they are for AGENT."""

    parsed: Protego

    @classmethod
    def parse(cls, text: str) -> "Rules":
        return cls(Protego.parse(text))

    def allows(self, url: str) -> bool:
        return bool(self.parsed.can_fetch(url, AGENT))

    @property
    def delay_s(self) -> float:
        """Seconds between two requests of a crawler, at most CRAWL_DELAY_S_MAX; 0 without."""
        delay_s = self.parsed.crawl_delay(AGENT)
        if delay_s is None or math.isnan(delay_s) or delay_s < 0:
            return 0.0
        return min(float(delay_s), CRAWL_DELAY_S_MAX)

    @property
    def sitemaps(self) -> tuple[str, ...]:
        return tuple(islice(self.parsed.sitemaps, SITEMAPS_MAX))
