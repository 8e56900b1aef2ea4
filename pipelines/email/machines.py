"""Who asked for a picture or followed a link: a person, or a machine on the way."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from db.email_events import Event

# Nobody reads so soon after a mail has left: gateways and prefetching clients do.
HASTE = timedelta(seconds=10)
# Scanners follow all links of a mail at once; people follow one, then read.
BURST = timedelta(seconds=5)
LINKS_OF_A_SCANNER = 3

# They fetch pictures for their users, mostly before anybody looks. Apple's Mail Privacy Protection
# gives exactly this and nothing more; Gmail's and Yahoo's proxies name themselves; Gmail's prefetch
# bears an Edge of 2015. Described by Mailgun ("Bot detection") and SparkPost ("Gmail prefetch").
PROXIES = re.compile(
    r"\A\s*Mozilla/5\.0\s*\Z|GoogleImageProxy|ggpht\.com|YahooMailProxy"
    r"|Chrome/42\.0\.2311\.135 Safari/537\.36 Edge/12\.246 Mozilla/5\.0"
)
# Gateways that look behind links, previews of chats, search engines, browsers without a window:
# those that say who they are, as their makers document. Others are known by what they do.
SCANNERS = re.compile(
    r"barracuda|proofpoint|mimecast|ironport|ciscosecureemail|fortimail|sophos|messagelabs"
    r"|trendmicro|bitdefender|safelinks|microsoft preview|bingpreview|urlscan|virustotal"
    r"|slackbot|whatsapp|telegrambot|facebookexternalhit|twitterbot|linkedinbot|discordbot"
    r"|skypeuripreview|headlesschrome|phantomjs|googlebot|bingbot|applebot|yandexbot",
    re.IGNORECASE,
)


def is_machine(user_agent: str, *, method: str = "GET") -> bool:
    """Whether the request itself says so; people's programs only ever GET."""
    return method != "GET" or bool(PROXIES.search(user_agent) or SCANNERS.search(user_agent))


def find_machines(events: Sequence[Event], sent_at: datetime | None) -> set[int]:
    """The ids of openings and clicks that no person made, whatever the order they are told in."""
    hasty = {
        event.id
        for event in events
        if event.type == "opened" and sent_at is not None and event.at < sent_at + HASTE
    }
    named = {event.id for event in events if event.by_bot}
    clicks = [event for event in events if event.type == "clicked"]
    # A provider that tracks, too, tells of the same click again, by another address.
    ours = [click for click in clicks if "among" in click.details]
    theirs = [click for click in clicks if "among" not in click.details]
    return named | hasty | find_bursts(ours) | find_bursts(theirs)


def find_bursts(clicks: Sequence[Event]) -> set[int]:
    """Clicks on all links of a mail, or on many, within seconds of each other."""
    found: set[int] = set()
    for first in clicks:
        near = [each for each in clicks if timedelta(0) <= each.at - first.at <= BURST]
        targets = {each.details.get("url") for each in near}
        if len(targets) >= min(links_of(near), LINKS_OF_A_SCANNER):
            found.update(each.id for each in near)
    return found


def links_of(clicks: Sequence[Event]) -> int:
    """How many links the mail has, at least two: one alone says nothing."""
    known = [int(each.details.get("among", LINKS_OF_A_SCANNER)) for each in clicks]
    return max(2, *known) if known else 2
