"""Addresses as a crawler compares them: what is one page, one site, and what is a trap. Pure."""

import re
from urllib.parse import urlsplit

from yarl import URL

URL_CHARS_MAX = 2_000
SEGMENTS_MAX = 16
# /a/b/a/b/a/b: a relative link that leads one folder deeper each time.
SEGMENT_REPEATS_MAX = 3

# Of one path with several parameters, or with several numbers in it: calendars, filters, sorting.
VARIANTS_MAX = 100
# Of one path with one parameter, which may be how a whole site names its pages.
QUERIES_MAX = 1_000

_TRACKING = re.compile(
    r"(?i)(?:utm_.*|gclid|gclsrc|dclid|gbraid|wbraid|fbclid|msclkid|yclid|twclid|ttclid|igshid"
    r"|mc_[ce]id|_hs(?:enc|mi)|hsctatracking|mkt_tok|vero_id|oly_(?:anon|enc)_id|_ga|_gl"
    r"|s_cid|wickedid|ref_src|phpsessid|jsessionid|aspsessionid.*|sessionid|sid)"
)
_PATH_SESSION = re.compile(r"(?i);(?:jsessionid|phpsessid|sid)=[^/;?]*")
_ASSET = re.compile(
    r"(?i)\.(?:jpe?g|png|gif|webp|avif|svg|ico|bmp|tiff?|css|m?js|map|woff2?|ttf|otf|eot|mp[34]|m4[av]"
    r"|webm|og[gva]|wav|flac|avi|mov|mkv|zip|gz|tgz|bz2|xz|7z|rar|tar|dmg|exe|msi|deb|rpm|apk|iso"
    r"|jar|bin|wasm|ics|vcf|torrent|sql|db)"
)
_NUMBER = re.compile(r"\d+")


def normalise(url: str) -> str | None:
    """One way to write an address; None for what no crawler can ask for.

    Parameters are sorted, those that only track visitors are left out. A trailing slash stays:
    only the site knows whether it matters.
    """
    try:
        parsed = URL(url.strip()).with_fragment(None)
        host, port = parsed.host, parsed.port
    except ValueError:
        return None
    if parsed.scheme not in ("http", "https") or not host or not port or "@" in parsed.authority:
        return None
    path = _PATH_SESSION.sub("", parsed.raw_path) or "/"
    query = sort_query(parsed.raw_query_string)
    authority = parsed.raw_host or ""
    authority = f"[{authority}]" if ":" in authority else authority.lower().rstrip(".")
    if port != {"http": 80, "https": 443}[parsed.scheme]:
        authority += f":{port}"
    written = f"{parsed.scheme}://{authority}{path}" + (f"?{query}" if query else "")
    return written if len(written) <= URL_CHARS_MAX else None


def sort_query(query: str) -> str:
    parameters = (part for part in query.split("&") if part)
    kept = [part for part in parameters if not _TRACKING.fullmatch(part.partition("=")[0])]
    return "&".join(sorted(kept, key=lambda part: part.partition("=")[0]))


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def site_of(url: str) -> tuple[str, int | None]:
    """Host and port, where www. makes no difference, nor http and https at their own ports."""
    parts = urlsplit(url)
    port = None if parts.port in (None, 80, 443) else parts.port
    return (parts.hostname or "").removeprefix("www."), port


def is_same_site(url: str, other: str) -> bool:
    return site_of(url) == site_of(other)


def settle_scheme(url: str, origin: str) -> str:
    """A site that is served encrypted is asked for no page in the clear."""
    if origin.startswith("https://") and url.startswith("http://") and is_same_site(url, origin):
        return "https://" + url.removeprefix("http://")
    return url


def is_asset(url: str) -> bool:
    """Tell by its ending what holds no text, and so is not worth a request."""
    name = urlsplit(url).path.rpartition("/")[2]
    return bool(_ASSET.fullmatch("." + name.rpartition(".")[2])) if "." in name else False


def is_trap(url: str) -> bool:
    """Tell whether the path alone shows that links lead in circles."""
    segments = [segment for segment in urlsplit(url).path.split("/") if segment]
    if len(segments) > SEGMENTS_MAX:
        return True
    return any(segments.count(segment) > SEGMENT_REPEATS_MAX for segment in set(segments))


def pattern_of(url: str) -> tuple[str, int] | None:
    """What pages of an endless space have in common, and how many of them are visited.

    None for an address that stands for itself.
    """
    parts = urlsplit(url)
    if parts.query:
        names = sorted({part.partition("=")[0] for part in parts.query.split("&")})
        kind = f"{parts.path}?{'&'.join(names)}"
        return kind, QUERIES_MAX if len(names) == 1 else VARIANTS_MAX
    folded, numbers = _NUMBER.subn("#", parts.path)
    return (folded, VARIANTS_MAX) if numbers >= 2 and is_numeric(folded) else None


def is_numeric(folded: str) -> bool:
    """/events/#/#: the last part is numbers alone, so that nothing else tells pages apart."""
    return not re.search(r"[A-Za-z%]", folded.rstrip("/").rpartition("/")[2])
