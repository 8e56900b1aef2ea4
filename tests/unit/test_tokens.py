import base64
from importlib import import_module

import pytest
from hypothesis import given, settings

from pipelines.knowledge.tokens import (
    _PUBLISHED,
    WHITE_RUN_CHARS_MAX,
    count,
    encoding_for,
    load_encoding,
)
from tests.unit.split_texts import texts


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("text-embedding-ada-002", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("text-embedding-3-large", "cl100k_base"),
        ("gpt-4o", "o200k_base"),
        ("davinci", "cl100k_base"),
        ("wordllama-256", "cl100k_base"),
        ("a-model-of-tomorrow", "cl100k_base"),
    ],
)
def test_a_model_counts_with_its_encoding_or_with_the_default(model: str, name: str) -> None:
    assert encoding_for(model).name == name


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_an_encoding_is_what_openai_publishes_but_for_the_download(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai = import_module("tiktoken_ext.openai_public")
    monkeypatch.setattr(openai, "load_tiktoken_bpe", lambda url, expected_hash: expected_hash)

    published = getattr(openai, name)()

    encoding = load_encoding(name)
    assert _PUBLISHED[name].sha256 == published["mergeable_ranks"]
    assert encoding._pat_str == published["pat_str"]
    assert encoding._special_tokens == published["special_tokens"]


def test_known_texts_have_the_tokens_openai_documents() -> None:
    encoding = encoding_for("text-embedding-3-small")

    assert encoding.encode_ordinary("tiktoken is great!") == [83, 1609, 5963, 374, 2294, 0]


def test_an_encoding_is_built_once() -> None:
    assert encoding_for("local") is encoding_for("text-embedding-ada-002")


def test_wrong_ranks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    load_encoding.cache_clear()
    monkeypatch.setattr("gzip.decompress", lambda packed: base64.b64encode(b"a") + b" 0\n")

    with pytest.raises(RuntimeError, match="ranks of cl100k_base"):
        load_encoding("cl100k_base")


@settings(max_examples=30, deadline=None)
@given(texts)
def test_a_count_is_the_length_of_the_encoding(text: str) -> None:
    encoding = encoding_for("local")

    assert count(text, encoding) == len(encoding.encode_ordinary(text))


def test_special_tokens_count_as_ordinary_text() -> None:
    encoding = encoding_for("local")

    assert count("<|endoftext|>", encoding) == len(encoding.encode_ordinary("<|endoftext|>")) == 7


def test_endless_white_space_is_counted_without_exhausting_the_stack() -> None:
    encoding = load_encoding("o200k_base")
    text = f"word{' ' * 12 * WHITE_RUN_CHARS_MAX}word"

    assert 0 < count(text, encoding) < len(text)
