"""/e/o, /e/c and /e/u: the pixel, the links and the way out of mails.

Each request costs one check of a signature; what it tells is recorded beside it, so that readers
are answered while Postgres is away.
"""

import asyncio
import base64
import re
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from db.email_events import Told
from pipelines.email.links import Links, Unsubscription
from pipelines.email.machines import is_machine
from pipelines.email.recording import Note
from workers.dashboard import mail_pages as pages
from workers.dashboard.mail_recorder import Recorder

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
OURS = "avivro"
# So long an opening or a click is waited for, so that whoever looks then sees it; no longer.
MARK_S = 0.25
# Nobody is told that they are unsubscribed before it is stored.
UNSUBSCRIBE_S = 5.0
BODY_BYTES_MAX = 4_096
USER_AGENT_CHARS_MAX = 300
ONE_CLICK = re.compile(
    rb"(?:\A|[&\s])List-Unsubscribe=One-Click(?:[&\s]|\Z)"
    rb"|name=\"?List-Unsubscribe\"?\s[^=&]{0,200}?\r?\n\r?\nOne-Click\s"
)
URL_MARKS = ":/?#[]@!$&'()*+,;=%~-._"


class TokenConvertor(StringConvertor):
    """The rest of the path, whatever is in it: what is no token is answered as such."""

    regex = "(?s:.*)"


register_url_convertor("token", TokenConvertor())


def routes(links: Links, recorder: Recorder) -> list[Route]:
    """Without keys in `links` no token is ours."""

    async def open_mail(request: Request) -> Response:
        """The picture, whatever the token: a broken image would be shown to the reader."""
        email_id = links.read_pixel(request.path_params["token"])
        if email_id is not None:
            await wait(recorder.submit(Note(tell("opened", request, email_id))), MARK_S)
        return Response(PIXEL, media_type="image/gif", headers=pages.PRIVATE)

    async def follow(request: Request) -> Response:
        """Leads to what the token holds, and nowhere else."""
        click = links.read_click(request.path_params["token"])
        if click is None:
            return pages.unknown()
        about = {"url": click.target, "among": click.among}
        told = tell("clicked", request, click.email_id, **about)
        await wait(recorder.submit(Note(told)), MARK_S)
        target = quote(click.target, safe=URL_MARKS)
        return Response(status_code=302, headers=pages.PRIVATE | {"Location": target})

    async def leave(request: Request) -> Response:
        """Only a POST unsubscribes: scanners GET every link of a mail."""
        asked = links.read_unsubscribe(request.path_params["token"])
        if asked is None:
            return pages.unknown()
        if request.method != "POST":
            return pages.ask(asked.category)
        return await unsubscribe(request, asked, recorder)

    return [
        Route("/e/o/{token:token}", open_mail, methods=["GET"]),
        Route("/e/c/{token:token}", follow, methods=["GET"]),
        Route("/e/u/{token:token}", leave, methods=["GET", "POST"]),
    ]


async def unsubscribe(request: Request, asked: Unsubscription, recorder: Recorder) -> Response:
    body = await read_body(request, bytes_max=BODY_BYTES_MAX)
    if body is None or not ONE_CLICK.search(body):
        return pages.deny(
            400, "That was no request to unsubscribe", "Please use the button of the page."
        )
    told = Told(
        provider=OURS,
        type="unsubscribed",
        at=datetime.now(UTC),
        email_id=asked.email_id,
        provider_event_id=f"unsubscribed {asked.email_id} {asked.category}",
        details={"category": asked.category},
    )
    if not await wait(recorder.submit(Note(told, asked)), UNSUBSCRIBE_S):
        return pages.deny(
            503, "Not stored yet", "We could not store that just now. Please try again in a minute."
        )
    return pages.confirm(asked.category)


def tell(kind: str, request: Request, email_id: UUID, **about: Any) -> Told:
    agent = request.headers.get("user-agent", "").replace("\x00", "")[:USER_AGENT_CHARS_MAX]
    purpose = request.headers.get("sec-purpose") or request.headers.get("purpose") or ""
    return Told(
        provider=OURS,
        type=kind,
        at=datetime.now(UTC),
        email_id=email_id,
        by_bot=is_machine(agent, method=request.method) or purpose.startswith("prefetch"),
        details={"user_agent": agent} | about,
    )


async def read_body(request: Request, *, bytes_max: int) -> bytes | None:
    """None for one that is longer, or was cut off."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > bytes_max:
                return None
    except ClientDisconnect:
        return None
    return bytes(body)


async def wait(future: "Future[bool] | None", timeout_s: float) -> bool:
    """Whether it was committed within the time; afterwards it still may be."""
    if future is None:
        return False
    done, _ = await asyncio.wait([asyncio.wrap_future(future)], timeout=timeout_s)
    return bool(done) and future.exception() is None
