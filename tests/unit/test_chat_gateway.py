"""One chat completion: what is asked, what is read, and what each failure means to the queue."""

import email.utils
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import openai
import pytest

from pipelines.errors import JobError, Misconfigured, Permanent, Transient
from pipelines.gateways import chat_http
from pipelines.gateways.chat import ChatClient, Question
from pipelines.gateways.chat_dialect import Dialect, simplify
from pipelines.gateways.chat_failures import (
    CREDITS_RETRY_AFTER_S,
    ContentRefused,
    Refusal,
    find_wait_s,
    parse_reset_s,
)
from tests.fakes_chat import KEY, MODEL, Canned, FakeChat, Fault, fake_chat
from tests.fakes_chat_rules import find_schema_problem

SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
QUESTION = Question("Answer in JSON.", '{"messages": []}', "answer", SCHEMA, tokens_max=100)
NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)


@pytest.fixture
def fake() -> Iterator[FakeChat]:
    with fake_chat() as serving:
        yield serving


def client_of(fake: FakeChat, *, timeout_s: float = 5.0) -> ChatClient:
    return ChatClient(
        api_key=fake.api_key, model=MODEL, base_url=fake.base_url, timeout_s=timeout_s
    )


def fail(fake: FakeChat, *, timeout_s: float = 5.0) -> JobError:
    with pytest.raises(JobError) as caught:
        client_of(fake, timeout_s=timeout_s).complete(QUESTION)
    return caught.value


def error(status: int, message: str = "no", **metadata: Any) -> Canned:
    return Canned(status, {"error": {"code": status, "message": message, "metadata": metadata}})


def test_an_answer_comes_with_what_was_billed(fake: FakeChat) -> None:
    completion = client_of(fake).complete(QUESTION)

    assert json.loads(completion.text) == {"judgements": []}
    assert completion.ending == "whole"
    assert completion.prompt_tokens == fake.prompt_tokens > 0
    assert completion.completion_tokens == fake.completion_tokens > 0


def test_a_request_names_the_model_the_schema_and_the_limit(fake: FakeChat) -> None:
    client_of(fake).complete(QUESTION)

    (body,) = fake.requests
    assert (body["model"], body["temperature"], body["max_tokens"]) == (MODEL, 0, 100)
    assert body["response_format"]["json_schema"] == {
        "name": "answer",
        "strict": True,
        "schema": SCHEMA,
    }


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after_s"),
    [
        (error(400, "Input is odd"), Permanent, None),
        (error(400, "x is not a valid model ID"), Misconfigured, None),
        (error(400, "Provider returned error", raw="maximum context length"), ContentRefused, None),
        (error(400, "blocked by content_filter"), ContentRefused, None),
        (error(401), Misconfigured, None),
        (error(402), Transient, CREDITS_RETRY_AFTER_S),
        (error(403, "flagged", reasons=["violence"], flagged_input="..."), ContentRefused, None),
        (error(403, "Key limit exceeded"), Misconfigured, None),
        (error(404, "No endpoints found for x"), Misconfigured, None),
        (error(408), Transient, None),
        (error(413), ContentRefused, None),
        (error(422, "Input is odd"), Permanent, None),
        (error(429), Transient, None),
        (Canned(429, {"error": {"message": "m", "type": "insufficient_quota"}}), Transient, 3600.0),
        (Canned(429, {}, {"Retry-After": "17"}), Transient, 17.0),
        (Canned(429, {}, {"Retry-After": "nonsense"}), Transient, None),
        (error(500), Transient, None),
        (Canned(503, {}, {"Retry-After": "9"}), Transient, 9.0),
        (Canned(529, "overloaded"), Transient, None),
        (Canned(302, "", {"Location": "https://elsewhere.example/"}), Permanent, None),
        (Canned(400, "<html>"), Permanent, None),
        (Canned(400, {"error": "a plain string"}), Permanent, None),
        # OpenRouter's 200, after which the model's provider failed.
        (Canned(200, {"error": {"code": 429, "message": "busy"}}), Transient, None),
        (Canned(200, {"error": {"code": 402, "message": "credits"}}), Transient, 3600.0),
        (Canned(200, {"error": {"code": 403, "message": "flagged"}}), ContentRefused, None),
        (Canned(200, {"error": {"code": "weird", "message": "?"}}), Transient, None),
        (Canned(200, {"choices": [{"error": {"code": 502, "message": "up"}}]}), Transient, None),
        (Canned(200, "[]"), Transient, None),
        (Canned(200, ""), Transient, None),
        (Canned(200, "[" * 100_000), Transient, None),
        (Canned(204, ""), Transient, None),
    ],
)
def test_each_refusal_means_one_thing_to_the_queue(
    fake: FakeChat, answer: Canned, kind: type[JobError], retry_after_s: float | None
) -> None:
    fake.always = answer

    failure = fail(fake)

    assert type(failure) is kind
    assert getattr(failure, "retry_after_s", None) == retry_after_s


@pytest.mark.parametrize("fault", ["html", "envelope", "hang_up", "endless"])
def test_an_answer_that_is_none_may_be_asked_for_again(fake: FakeChat, fault: Fault) -> None:
    fake.inject(fault)

    failure = fail(fake)

    assert type(failure) is Transient


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_dripping_answer_ends_at_the_deadline(fake: FakeChat, status: int) -> None:
    fake.inject(Canned(status, " " * 10_000, drips=True))
    began_at = time.monotonic()

    failure = fail(fake, timeout_s=0.3)

    assert "within 0.3 seconds" in str(failure)
    assert time.monotonic() - began_at < 5


def test_a_silent_provider_is_late(fake: FakeChat) -> None:
    fake.inject("silent")

    assert "within 0.3 seconds" in str(fail(fake, timeout_s=0.3))


def test_an_error_that_is_too_large_is_not_read_to_its_end(
    fake: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_http, "ANSWER_BYTES_MAX", 1_000)
    fake.inject(Canned(400, "x" * 5_000))

    assert "limit is 1,000 bytes" in str(fail(fake))


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("refusal", "refused"),
        ("content_filter", "refused"),
        ("null", "empty"),
        ("no_choices", "empty"),
        ("choice_error", "broken"),
    ],
)
def test_an_answer_that_was_billed_is_returned_however_it_ended(
    fake: FakeChat, fault: Fault, ending: str
) -> None:
    fake.inject(fault)

    completion = client_of(fake).complete(QUESTION)

    assert completion.ending == ending
    assert completion.prompt_tokens == fake.prompt_tokens > 0


def test_an_answer_cut_at_the_limit_says_so(fake: FakeChat) -> None:
    short = Question(QUESTION.system, QUESTION.content, "answer", SCHEMA, tokens_max=1)

    completion = client_of(fake).complete(short)

    assert completion.ending == "cut"
    assert completion.completion_tokens == 1


def test_without_usage_nothing_is_said_to_be_billed(fake: FakeChat) -> None:
    fake.inject("no_usage")

    completion = client_of(fake).complete(QUESTION)

    assert (completion.prompt_tokens, completion.completion_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("formats", "spoken"),
    [({"json_object", "text"}, "json_object"), ({"text"}, "text")],
)
def test_a_format_that_is_not_understood_is_left_out_from_then_on(
    fake: FakeChat, formats: set[str], spoken: str
) -> None:
    fake.formats = formats
    client = client_of(fake)

    client.complete(QUESTION)
    client.complete(QUESTION)

    assert client.dialect.format == spoken
    assert len(fake.requests) == 2


def test_a_temperature_that_is_not_understood_is_left_out(fake: FakeChat) -> None:
    fake.has_temperature = False

    client_of(fake).complete(QUESTION)

    assert "temperature" not in fake.requests[0]


@pytest.mark.parametrize(
    ("status", "words", "format"),
    [
        (400, "This response_format type is unavailable now", "json_object"),
        (400, "'response_format.json_schema.schema' must be an object", "json_object"),
        (400, "model does not support structured outputs", "json_object"),
        (422, "json_schema is not supported", "json_object"),
        (404, "No endpoints found that can handle the requested parameters.", "json_object"),
        (404, "No endpoints found for x/y.", None),
        (500, "response_format", None),
        (400, "Input is odd", None),
    ],
)
def test_only_a_refusal_of_the_format_changes_it(
    status: int, words: str, format: str | None
) -> None:
    simpler = simplify(Dialect(), status=status, words=words)

    assert (simpler and simpler.format) == format


def test_every_step_down_ends() -> None:
    words = "temperature; use max_completion_tokens, not max_tokens; response_format"
    words += " max_tokens max_completion_tokens"
    dialect: Dialect | None = Dialect()
    steps = -1

    while dialect is not None:
        dialect = simplify(dialect, status=400, words=words)
        steps += 1

    assert steps == 4


def test_the_key_is_in_no_message_and_in_no_cause(fake: FakeChat) -> None:
    fake.always = error(403, f"The key {KEY} may not do this", raw=KEY)

    failure = fail(fake)

    assert "***" in str(failure)
    assert KEY not in f"{failure!r} {failure.__cause__!r}"


@pytest.mark.parametrize("status", [400, 403, 404])
def test_what_was_sent_is_not_repeated(fake: FakeChat, status: int) -> None:
    sent = 'My "secret" is 4711, übrigens'
    question = Question(
        "Answer in JSON.", json.dumps({"text": sent}, ensure_ascii=False), "x", {}, 10
    )
    fake.always = error(status, f"flagged content: {sent}; {json.dumps(sent)} is not allowed")

    with pytest.raises(JobError) as caught:
        client_of(fake).complete(question)

    assert re.search("secret|4711|brigens", str(caught.value)) is None
    assert "flagged conten" in str(caught.value)
    assert str(caught.value).endswith(" is not allowed")


def test_a_wrong_key_is_the_operators_to_mend(fake: FakeChat) -> None:
    client = ChatClient(api_key="sk-wrong", model=MODEL, base_url=fake.base_url)

    with pytest.raises(Misconfigured, match="OPENROUTER_API_KEY"):
        client.complete(QUESTION)


def test_a_key_that_no_header_can_carry_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="unusual characters"):
        ChatClient(api_key="sk one", model=MODEL, base_url="http://127.0.0.1:1/v1")


def test_nobody_listening_is_a_failure_of_the_moment() -> None:
    client = ChatClient(api_key="sk", model=MODEL, base_url="http://127.0.0.1:9/v1")

    with pytest.raises(Transient, match="connection"):
        client.complete(QUESTION)


@pytest.mark.parametrize(
    ("headers", "metadata", "wait_s"),
    [
        ({"retry-after": "3"}, {}, 3.0),
        ({"retry-after": email.utils.format_datetime(NOW + timedelta(seconds=40))}, {}, 40.0),
        ({"x-ratelimit-reset": str(int(NOW.timestamp() * 1000) + 2_500)}, {}, 2.5),
        ({}, {"headers": {"X-RateLimit-Reset": str(int(NOW.timestamp() * 1000) + 60_000)}}, 60.0),
        ({}, {"headers": {"Retry-After": "12"}}, 12.0),
        ({"retry-after": "5"}, {"headers": {"X-RateLimit-Reset": "99"}}, 5.0),
        ({"x-ratelimit-reset": "soon"}, {"headers": "none"}, None),
    ],
)
def test_a_wait_is_read_wherever_it_stands(
    headers: dict[str, str], metadata: dict[str, object], wait_s: float | None
) -> None:
    refusal = Refusal(429, headers=headers, metadata=metadata)

    assert find_wait_s(refusal, now=NOW) == wait_s


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        (str(int(NOW.timestamp()) + 7), 7.0),
        (str(int(NOW.timestamp()) - 7), 0.0),
        ("20", 20.0),
        ("99999999999999", 86_400.0),
        ("-1", None),
        ("", None),
    ],
)
def test_a_reset_is_a_moment_or_a_wait(text: str, wait_s: float | None) -> None:
    assert parse_reset_s(text, now=NOW) == wait_s


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"additionalProperties": True}, "additionalProperties"),
        ({"required": []}, "required"),
        ({"minProperties": 1}, "not permitted"),
        ({"properties": {"answer": {"type": "array"}}}, "must be an object"),
    ],
)
def test_the_fake_refuses_schemas_that_strict_mode_refuses(
    fake: FakeChat, change: dict[str, Any], words: str
) -> None:
    official = openai.OpenAI(api_key=KEY, base_url=fake.base_url, max_retries=0)
    wanted = {"name": "answer", "strict": True, "schema": SCHEMA | change}
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "JSON"}],
        "response_format": {"type": "json_schema", "json_schema": wanted},
    }

    with pytest.raises(openai.BadRequestError) as caught:
        official.post("/chat/completions", body=body, cast_to=object)

    assert words in str(caught.value.body)
    assert find_schema_problem(SCHEMA) is None


@pytest.mark.parametrize(
    "change",
    [
        {"model": "no/such"},
        {"messages": []},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"temperature": 3},
        {"max_tokens": 0},
        {"max_tokens": 10**6},
        {"response_format": {"type": "json_object"}},
        {"unheard_of": 1},
        {"messages": [{"role": "user", "content": "many words " * 80_000}]},
    ],
)
def test_the_fake_refuses_requests_that_providers_refuse(
    fake: FakeChat, change: dict[str, Any]
) -> None:
    official = openai.OpenAI(api_key=KEY, base_url=fake.base_url, max_retries=0)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}

    with pytest.raises(openai.BadRequestError):
        official.post("/chat/completions", body=body | change, cast_to=object)
    official.post("/chat/completions", body=body, cast_to=object)
