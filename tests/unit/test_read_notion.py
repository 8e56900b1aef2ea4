"""Notion's properties and ids, as text."""

from typing import Any
from uuid import UUID

import pytest

from pipelines.errors import Permanent
from pipelines.gateways.json_values import clean
from pipelines.readers.notion import parse_id
from pipelines.readers.notion_text import write_property, write_text
from tests.fakes_notion import words

ID = "5298daad-d2b4-563f-a409-c19942d8c4e1"


@pytest.mark.parametrize(
    "text",
    [
        ID,
        ID.replace("-", ""),
        ID.upper(),
        f"https://www.notion.so/Team-Home-{ID.replace('-', '')}?pvs=4",
        f"https://www.notion.so/me/{ID.replace('-', '')}?v=00000000000000000000000000000000",
        f"https://site.notion.site/1-deadbeefdeadbeefdeadbeefdeadbeef-{ID.replace('-', '')}",
    ],
)
def test_a_page_is_named_by_its_id_or_address(text: str) -> None:
    assert UUID(parse_id(text, "settings.pages")) == UUID(ID)


@pytest.mark.parametrize("text", ["", "what", 5, None, "../../etc/passwd", {}])
def test_what_is_no_id_is_told_by_its_setting(text: Any) -> None:
    with pytest.raises(Permanent, match=r"settings\.pages"):
        parse_id(text, "settings.pages")


@pytest.mark.parametrize(
    ("kind", "inner", "text"),
    [
        ("rich_text", words("some text"), "some text"),
        ("number", 4.5, "4.5"),
        ("select", {"name": "Red"}, "Red"),
        ("status", {"name": "Done"}, "Done"),
        ("multi_select", [{"name": "a"}, {"name": "b"}], "a, b"),
        ("date", {"start": "2025-01-01", "end": None}, "2025-01-01"),
        ("date", {"start": "2025-01-01", "end": "2025-01-05"}, "2025-01-01 to 2025-01-05"),
        ("people", [{"object": "user", "name": "Ada"}, {"object": "user"}], "Ada"),
        ("files", [{"name": "plan.pdf"}], "plan.pdf"),
        ("checkbox", True, "yes"),
        ("checkbox", False, "no"),
        ("url", "https://x.example", "https://x.example"),
        ("email", "a@b.example", "a@b.example"),
        ("phone_number", "123", "123"),
        ("unique_id", {"prefix": "T", "number": 7}, "T-7"),
        ("unique_id", {"prefix": None, "number": 7}, "7"),
        ("formula", {"type": "string", "string": "high"}, "high"),
        ("formula", {"type": "boolean", "boolean": True}, "yes"),
        ("rollup", {"type": "number", "number": 3}, "3"),
        ("rollup", {"type": "array", "array": [{"type": "number", "number": 1}]}, "1"),
        ("select", None, ""),
        ("place", {"lat": 1}, ""),
        ("number", "odd", ""),
        ("people", "odd", ""),
    ],
)
def test_properties_read_as_people_see_them(kind: str, inner: Any, text: str) -> None:
    assert write_property({"type": kind, kind: inner}) == text


def test_links_are_kept_and_other_addresses_are_not() -> None:
    spans = [*words("see "), *words("here", "https://x.example/a"), *words(" or ", "/inner")]

    assert write_text(spans) == "see [here](https://x.example/a) or "


@pytest.mark.parametrize("odd", [None, 5, "text", [None, 5, {}], {"plain_text": "x"}])
def test_rich_text_of_another_shape_is_no_text(odd: Any) -> None:
    assert write_text(odd) == ""


def test_text_holds_no_nul_and_no_lone_surrogate() -> None:
    assert clean({"a\0": ["b\ud800", 1]}) == {"a": ["b?", 1]}
