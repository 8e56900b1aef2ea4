"""Which way requests to Notion and Google take: straight to the provider, in turn to others."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from db.fence import Fence
from db.sources import Source
from pipelines.credentials import Credentials
from pipelines.errors import Permanent
from pipelines.gateways.http import Request, Response
from pipelines.knowledge.sandbox import Parser
from pipelines.readers import google_drive, notion
from pipelines.readers.tools import ReadingTools
from pipelines.vault import Vault


class OpenVault(Vault):
    def unlock(self, db: Fence, source_id: UUID) -> Credentials:
        return Credentials({"token": "secret", "access_token": "secret"})


@dataclass
class Way:
    """Refuses every request, and keeps it."""

    asked: list[Request] = field(default_factory=list)

    def request(self, request: Request) -> Response:
        self.asked.append(request)
        raise Permanent("no further")


class NoJob:
    def check(self) -> None:
        """Nobody asks it to stop."""


def make_source(settings: dict[str, Any]) -> Source:
    id = UUID(int=1)
    return Source(id, id, id, "n", "notion", None, None, None, None, None, settings, None)


@pytest.mark.parametrize("read", [notion.read, google_drive.read])
@pytest.mark.parametrize(
    ("base_url", "host", "is_direct"),
    [
        (None, ("https://api.notion.com/v1/", "https://www.googleapis.com/drive/v3/"), True),
        ("", ("https://api.notion.com/v1/", "https://www.googleapis.com/drive/v3/"), True),
        ("https://x.example", ("https://x.example/v1/", "https://x.example/drive/v3/"), False),
        ("https://x.example/a/", ("https://x.example/a/v1/", "https://x.example/a/drive/"), False),
        ("https://x.example/v1", ("https://x.example/v1/", "https://x.example/v1/drive/"), False),
        (
            "https://x.example/drive/v3",
            ("https://x.example/", "https://x.example/drive/v3/"),
            False,
        ),
    ],
)
def test_only_the_providers_own_address_is_asked_out_of_turn(
    read: Any, base_url: str | None, host: tuple[str, str], is_direct: bool
) -> None:
    polite, direct = Way(), Way()
    tools = ReadingTools(
        cast(Fence, NoJob()),
        polite,
        cast(Parser, None),
        Path(),
        vault=OpenVault(),
        direct=direct,
    )
    settings = {"base_url": base_url, "file_ids": ["abcdef"]}

    with pytest.raises(Permanent, match="no further"):
        read(make_source(settings), tools, {})

    asked, others = (direct, polite) if is_direct else (polite, direct)
    assert [request.url.startswith(host) for request in asked.asked] == [True]
    assert others.asked == []


@pytest.mark.parametrize("read", [notion.read, google_drive.read])
@pytest.mark.parametrize("base_url", [5, [], "ftp://x.example", "x.example", "//x.example"])
def test_a_base_url_that_is_no_web_address_is_named(read: Any, base_url: Any) -> None:
    tools = ReadingTools(cast(Fence, NoJob()), Way(), cast(Parser, None), Path(), vault=OpenVault())

    with pytest.raises(Permanent, match=r"settings\.base_url"):
        read(make_source({"base_url": base_url, "file_ids": ["abcdef"]}), tools, {})
