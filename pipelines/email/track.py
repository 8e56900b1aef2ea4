"""What a mail carries so that we learn what became of it, and its reader can end it."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from pipelines.email.links import Links, is_target
from pipelines.email.registry import ACCOUNT
from pipelines.email.render import Rendered

# Gmail cuts longer ones off, and the way to unsubscribe with them: then links stay as they were.
HTML_BYTES_MAX = 102_000
PLACE = "<!-- unsubscribe -->"
LABEL = "Unsubscribe from these emails"
BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)
# A tag up to its end, a ">" in quotes being none; then its attributes one by one.
LINK_TAG = re.compile(r"<(?:a|area)\s(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>", re.IGNORECASE)
ATTRIBUTE = re.compile(r"([^\s\"'<>/=]+)(\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s\"'<>`]+)")


@dataclass(frozen=True, slots=True)
class Reader:
    """To whom a mail goes, and on whose behalf."""

    address: str
    user_id: UUID | None


def track(rendered: Rendered, *, links: Links, email_id: UUID, reader: Reader) -> Rendered:
    """The mail as it goes out; one about an account or its security as it was."""
    if rendered.category == ACCOUNT:
        return rendered
    leave = links.unsubscribe(reader.address, rendered.category, reader.user_id, email_id=email_id)
    page = rendered.html
    if rendered.tracked:
        page = add_pixel(rewrite(page, links, email_id), links.pixel(email_id))
        if len(page.encode()) > HTML_BYTES_MAX:
            page = rendered.html
    return replace(
        rendered,
        html=add_footer(page, leave),
        text=f"{rendered.text.rstrip()}\n\n{LABEL}:\n{leave}\n",
    )


def unsubscribe_headers(
    category: str, *, links: Links, email_id: UUID, reader: Reader
) -> dict[str, str]:
    """The headers by which mail programs offer one click (RFC 8058); none for account mail.

    The first is one word, longer than a line of 78: it must not be folded into encoded words.
    """
    if category == ACCOUNT:
        return {}
    leave = links.unsubscribe(reader.address, category, reader.user_id, email_id=email_id)
    return {
        "List-Unsubscribe": f"<{leave}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def rewrite(page: str, links: Links, email_id: UUID) -> str:
    """Let each http(s) link go through us; everything else stays byte for byte."""
    targets = {target for target in find_targets(page) if not is_ours(target, links)}
    ways = {target: links.click(email_id, target, among=len(targets)) for target in targets}
    return swap(page, lambda target: ways.get(target))


def find_targets(page: str) -> set[str]:
    found: set[str] = set()

    def note(target: str) -> None:
        if is_target(target):
            found.add(target)

    swap(page, note)
    return found


def swap(page: str, way: Callable[[str], str | None]) -> str:
    """Each link's address replaced by its way, where there is one."""

    def in_attribute(match: re.Match[str]) -> str:
        name, equals, value = match.groups()
        new = way(html.unescape(value.strip("\"'")).strip()) if name.lower() == "href" else None
        return match[0] if new is None else f'{name}{equals}"{html.escape(new)}"'

    return LINK_TAG.sub(lambda tag: ATTRIBUTE.sub(in_attribute, tag[0]), page)


def is_ours(target: str, links: Links) -> bool:
    return target.startswith(f"{links.public_url.rstrip('/')}/e/")


def add_pixel(page: str, pixel: str) -> str:
    image = (
        f'<img src="{html.escape(pixel)}" width="1" height="1" alt="" '
        'style="display:block;width:1px;height:1px;border:0">'
    )
    return before_end(page, image)


def add_footer(page: str, leave: str) -> str:
    link = (
        f'<a class="foot-link" style="color:#59686f;text-decoration:underline" '
        f'href="{html.escape(leave)}">{LABEL}</a>'
    )
    if PLACE in page:
        return page.replace(PLACE, link, 1)
    return before_end(page, f'<p style="font-size:13px;text-align:center">{link}</p>')


def before_end(page: str, piece: str) -> str:
    ends = list(BODY_END.finditer(page))
    at = ends[-1].start() if ends else len(page)
    return page[:at] + piece + page[at:]
