"""What `avivro doctor` says of who judges sentiment."""

from collections.abc import Iterator

import pytest

from pipelines.sentiment.chat_judge import ChatJudge
from pipelines.sentiment.verdict import LocalOnly
from tests.fakes_chat import KEY, MODEL, FakeChat, fake_chat
from workers import config
from workers.cli import judge
from workers.config import Config
from workers.tools import sentiment_judge


@pytest.fixture
def fake() -> Iterator[FakeChat]:
    with fake_chat() as serving:
        yield serving


def configured(**env: str) -> Config:
    return config.read(env)


def with_key(url: str, key: str = KEY) -> Config:
    return configured(OPENROUTER_API_KEY=key, OPENROUTER_BASE_URL=url, SENTIMENT_MODEL=MODEL)


def test_without_a_key_the_local_judge_is_used_and_nobody_asked() -> None:
    found = configured()

    _, is_good, detail = judge.check(found)

    assert (is_good, "no key needed" in detail) == (True, True)
    assert isinstance(sentiment_judge(found), LocalOnly)


def test_with_a_key_a_model_is_used_and_the_key_tried_for_nothing(fake: FakeChat) -> None:
    found = with_key(fake.base_url)

    _, is_good, detail = judge.check(found)

    assert (is_good, MODEL in detail) == (True, True)
    assert not fake.requests
    assert isinstance(sentiment_judge(found), ChatJudge)


def test_a_key_that_is_not_accepted_is_named(fake: FakeChat) -> None:
    _, is_good, detail = judge.check(with_key(fake.base_url, "sk-wrong"))

    assert (is_good, "check OPENROUTER_API_KEY" in detail) == (False, True)
    assert "sk-wrong" not in detail


def test_an_address_where_nobody_listens_is_named() -> None:
    _, is_good, detail = judge.check(with_key("http://127.0.0.1:9/v1"))

    assert (is_good, "check OPENROUTER_BASE_URL" in detail) == (False, True)


def test_a_server_without_that_page_may_be_good(fake: FakeChat) -> None:
    _, is_good, _ = judge.check(with_key(f"{fake.base_url}/other"))

    assert is_good


def test_the_key_alone_turns_the_model_on_and_local_turns_it_off() -> None:
    chosen = configured(OPENROUTER_API_KEY=KEY, SENTIMENT_MODEL="local")

    assert isinstance(sentiment_judge(configured(VITE_OPENROUTER_API_KEY=KEY)), ChatJudge)
    assert isinstance(sentiment_judge(chosen), LocalOnly)
