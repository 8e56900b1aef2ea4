"""The settings of a source of type `api`: what is filled in, and what is refused."""

from typing import Any
from uuid import UUID

import pytest

from db.sources import Source
from pipelines.credentials import Credentials
from pipelines.errors import Permanent
from pipelines.readers.api_settings import ApiSettings, parse_settings

CREDENTIALS = Credentials({"token": "s3cr3t/&value", "user": "me", "number": 12345})


def make_source(settings: dict[str, Any], url: str | None = "https://x.example/v1") -> Source:
    id = UUID(int=1)
    return Source(id, id, id, "n", "api", None, url, None, None, None, settings, None)


def parse(settings: dict[str, Any], credentials: Credentials | None = CREDENTIALS) -> ApiSettings:
    return parse_settings(make_source({"api": settings}), credentials)


def test_credentials_are_filled_in_where_they_are_named() -> None:
    found = parse(
        {
            "url": "https://x.example/v1?key={{token}}",
            "headers": {"Authorization": "Bearer {{ token }}", "X-Number": "{{number}}"},
            "method": "post",
            "body": {"deep": ["{{token}}", 1]},
        }
    )

    assert found.url == "https://x.example/v1?key=s3cr3t%2F%26value"
    assert found.headers == {"Authorization": "Bearer s3cr3t/&value", "X-Number": "12345"}
    assert found.body == {"deep": ["s3cr3t/&value", 1]}


def test_a_user_and_a_password_become_basic_authorization() -> None:
    pair = {"username": "{{user}}", "password": "{{number}}"}

    assert parse({"basic_auth": pair}).headers == {"Authorization": "Basic bWU6MTIzNDU="}


def test_no_repr_shows_what_was_filled_in() -> None:
    found = parse({"url": "https://x.example/?k={{token}}", "headers": {"X-Key": "{{token}}"}})

    assert "s3cr3t" not in repr(found)


def test_settings_may_stand_at_the_top() -> None:
    found = parse_settings(make_source({"items": "$.data[*]"}), None)

    assert found.items is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "DELETE"}, "GET and POST"),
        ({"headers": []}, "headers must be an object"),
        ({"headers": {"X-A": ["b"]}}, "'X-A' must be a text"),
        ({"headers": {"User-Agent": "{{token}}"}}, "'User-Agent' cannot hold a credential"),
        ({"headers": {str(n): "x" for n in range(51)}}, "the limit is 50"),
        ({"headers": {"X-A": "{{other}}"}}, 'hold no "other"'),
        ({"url": "https://{{token}}.example/"}, "host"),
        ({"items": 5}, "settings.api.items must be a JSON path"),
        ({"content": ["$.a"] * 21}, "more than 20 paths"),
        ({"content_type": "image/png"}, "must be one of text/html"),
        ({"pages_max": 0}, "from 1 to 1,000"),
        ({"items_max": True}, "from 1 to 20,000"),
        ({"paging": {"link_header": True}}, "items is missing"),
        ({"paging": {"what": 1}}, "must name one of"),
        ({"paging": {"next": "$.a", "page": {}}}, "next and page"),
        ({"paging": {"offset": {}}}, "offset.size is missing"),
        ({"paging": {"page": {"size": -1}}}, "number from 0"),
        ({"paging": {"cursor": {"path": "$.a", "in": "body"}}}, "query, or body"),
        ({"paging": {"cursor": {"param": "c"}}}, "cursor.path must be a JSON path"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(settings: dict[str, Any], message: str) -> None:
    listed = {} if message == "items is missing" else {"items": "$.data[*]"}

    with pytest.raises(Permanent, match=message):
        parse({**listed, **settings})


def test_a_named_credential_without_any_is_asked_for() -> None:
    with pytest.raises(Permanent, match="enter them for this source"):
        parse({"headers": {"X-Key": "{{token}}"}}, None)


@pytest.mark.parametrize("url", [None, "", "  "])
def test_a_source_without_an_address_is_told(url: str | None) -> None:
    with pytest.raises(Permanent, match="`url` is empty"):
        parse_settings(make_source({}, url), None)
