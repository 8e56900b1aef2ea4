"""What a page shows of arguments that nobody shall read by the way."""

import json
from html import unescape
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.dashboard.redaction import NAME, VALUES_MAX, redact, reveal

ID = "9b2d7a52-61d4-4c52-8a39-0c0b8f8f2a11"
# Nothing that the page itself says is made of these.
TEXTS = st.text("qxzQXZ<>&'\u202e\x1b\u05d07", min_size=4, max_size=60)
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["url", "note", "api_key", "x"]) | TEXTS, inner, max_size=4
        )
    ),
    max_leaves=20,
)


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        names = [name for name in value if not NAME.fullmatch(name)]
        return [*names, *(text for inner in value.values() for text in texts_of(inner))]
    return [text for inner in value for text in texts_of(inner)] if isinstance(value, list) else []


@given(st.dictionaries(st.sampled_from(["body", "token", "deep"]), VALUES, max_size=4))
@example({"deep": [{"note": {"x": ["<b>qxzq</b>"]}}]})
@settings(max_examples=60, deadline=None)
def test_no_four_characters_of_a_hidden_text_are_shown(args: dict[str, Any]) -> None:
    shown = unescape(str(redact(args)))

    for text in texts_of(args):
        for at in range(len(text) - 3):
            part = text[at : at + 4]
            assert part.isspace() or part not in shown


@pytest.mark.parametrize(
    "value", [ID, "2026-11-21", "2026-11-21T02:00:00Z", "index_source", "lead.captured"]
)
def test_what_names_nobody_is_shown(value: str) -> None:
    assert value in str(redact({"it": value}))


@pytest.mark.parametrize("value", [7, -1.5, True, None])
def test_numbers_and_truths_are_shown(value: object) -> None:
    assert json.loads(unescape(str(redact({"it": value})))) == {"it": value}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x" * 40, "redacted, 40 chars"),
        ("ada@example.com", "redacted, email"),
        (4111_1111_1111_1111, "redacted, a number"),
        (f"{ID}\n", "redacted, 37 chars"),
        ("2026-11-21 or my birthday", "redacted, 25 chars"),
    ],
)
def test_what_is_hidden_says_how_large_it_is(value: object, words: str) -> None:
    assert words in str(redact({"it": value}))


@pytest.mark.parametrize(
    "name", ["password", "api_key", "apiKey", "X_API_KEY", "authToken", "webhook_secret", "pin"]
)
def test_a_secret_by_name_hides_whatever_it_holds(name: str) -> None:
    for value in (ID, 1234, ["2026-11-21"], {"id": ID}):
        assert ID not in str(redact({name: value}))
        assert redact({name: value}).hidden == 1


def test_numbers_of_tokens_are_no_secret() -> None:
    assert redact({"tokens": 812, "tokens_max": 1980}).hidden == 0


def test_deep_and_large_values_end() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = {"a": [deep]}

    shown = redact({"deep": deep, "many": [[number] * 90 for number in range(1000)]})

    assert str(shown).count("\n") < 4 * VALUES_MAX
    assert shown.hidden > 900


def test_what_is_revealed_is_cut_at_a_limit() -> None:
    assert len(reveal({"a": "x" * 1_000_000})) < 201_000
    assert reveal({"a": "ö"}) == '{\n  "a": "ö"\n}'
