"""JSON paths that customers write: what they find, and what they may cost."""

import time
from typing import Any

import pytest

from pipelines.errors import Permanent
from pipelines.readers.json_paths import PATH_CHARS_MAX, parse_path

VALUE = {"data": [{"id": 1, "a b": "x"}, {"id": 2}], "meta": {"next": None}, "none": []}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.data[*].id", [1, 2]),
        ("data[*].id", [1, 2]),
        ("$.data[-1].id", [2]),
        ("$..id", [1, 2]),
        ("$.data[?@.id > 1].id", [2]),
        ("$.data[0]['a b']", ["x"]),
        ("$.nothing", []),
        ("[0]", []),
        ("$", [VALUE]),
    ],
)
def test_paths_find_what_they_name(path: str, found: list[Any]) -> None:
    assert parse_path(path, "items").find(VALUE, found_max=10) == found


def test_no_more_is_found_than_asked_for() -> None:
    assert len(parse_path("$[*]", "items").find(list(range(1000)), found_max=7)) == 7


EXPENSIVE = ("$..a..b", "$[?@..a]", "$" + ".a" * PATH_CHARS_MAX, "$" + "[?@" * 90)
ENDLESS = ("$[?match(@.a, '(a+)+')]", "$[?search(@.a, 'x')]")


@pytest.mark.parametrize("path", ["", "   ", 5, None, "$.", "$[", *ENDLESS, *EXPENSIVE])
def test_what_is_no_path_or_costs_too_much_is_told_by_its_setting(path: Any) -> None:
    with pytest.raises(Permanent, match="settings.api.items"):
        parse_path(path, "settings.api.items")


def test_a_deep_answer_is_refused_and_takes_no_time() -> None:
    deep: Any = {}
    for _ in range(50_000):
        deep = {"a": deep}
    started = time.monotonic()

    with pytest.raises(Permanent, match="cannot be followed"):
        parse_path("$..id", "items").find(deep, found_max=1)

    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("path", "is_empty"),
    [("$.none[*]", True), ("$.data[*]", False), ("$.other[*]", False), ("$..[*]", False)],
)
def test_an_empty_list_is_told_from_a_path_that_leads_nowhere(path: str, is_empty: bool) -> None:
    assert parse_path(path, "items").leads_to_empty(VALUE) is is_empty
