"""Fetching robots.txt, and remembering what it said (RFC 9309)."""

from db import hosts
from db.fence import Fence
from db.hosts import StoredRobots
from pipelines.gateways.http import Request
from pipelines.gateways.http_failures import HttpPermanent, HttpTransient
from pipelines.gateways.polite import Requester
from pipelines.knowledge.crawl_robots import Rules

ROBOTS_BYTES_MAX = 512_000
ROBOTS_REDIRECTS_MAX = 5
ROBOTS_DEADLINE_S = 10.0
KEPT_S = 86_400.0
UNREACHABLE_KEPT_S = 60.0


def read_rules(db: Fence, client: Requester, origin: str) -> Rules | None:
    """What the origin allows; None when it does not say, and so allows nothing for a while.

    Raises HttpPermanent for a host that does not exist or must not be reached.
    """
    with db.read() as conn:
        stored = hosts.load_robots(conn, origin)
    if stored is None:
        stored = fetch_robots(client, origin)
        kept_s = UNREACHABLE_KEPT_S if stored.answer == "unreachable" else KEPT_S
        with db.write() as conn:
            hosts.save_robots(conn, origin, stored, kept_s=kept_s)
    return None if stored.answer == "unreachable" else Rules.parse(stored.body)


def fetch_robots(client: Requester, origin: str) -> StoredRobots:
    """A file beyond ROBOTS_BYTES_MAX counts as far as it was read."""
    request = Request(
        f"{origin}/robots.txt",
        deadline_s=ROBOTS_DEADLINE_S,
        body_bytes_max=ROBOTS_BYTES_MAX,
        redirects_max=ROBOTS_REDIRECTS_MAX,
        body_optional=True,
    )
    try:
        response = client.request(request)
    except HttpTransient:
        return StoredRobots("unreachable", "")
    except HttpPermanent as error:
        if error.failure_class == "redirect":
            return StoredRobots("none", "")
        raise
    cut = not response.body_complete and len(response.body) < ROBOTS_BYTES_MAX
    if response.status == 429 or response.status >= 500 or cut:
        return StoredRobots("unreachable", "")
    if not 200 <= response.status < 300:
        return StoredRobots("none", "")
    return StoredRobots("rules", response.body.decode("utf-8-sig", "replace").replace("\0", ""))
