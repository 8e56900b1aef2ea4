"""The provider gateway, and the fake provider that stands in for OpenAI."""

import traceback
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import openai
import pytest

from pipelines.errors import JobError, Permanent, Transient
from pipelines.gateways.embedder import EMBEDDING_DIMENSIONS
from pipelines.gateways.openai import QUOTA_RETRY_AFTER_S, OpenAIEmbedder, Transfer
from tests.fakes import FakeOpenAI, fake_openai
from tests.fakes_openai import Fault

ADA = "text-embedding-ada-002"
LARGE = "text-embedding-3-large"
TEXTS = ["the cat sat on the mat", "a cat on a mat", "interest rates rose again"]


@pytest.fixture
def provider() -> Iterator[FakeOpenAI]:
    with fake_openai() as fake:
        yield fake


@pytest.fixture
def official(provider: FakeOpenAI) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        api_key=provider.api_key, base_url=provider.base_url, max_retries=0
    ) as client:
        yield client


@pytest.fixture
def embedder(provider: FakeOpenAI) -> Iterator[OpenAIEmbedder]:
    with closing(make_embedder(provider)) as made:
        yield made


def make_embedder(
    provider: FakeOpenAI,
    *,
    model: str = ADA,
    api_key: str | None = None,
    transfer: Transfer = "base64",
) -> OpenAIEmbedder:
    return OpenAIEmbedder(
        api_key=api_key or provider.api_key,
        model=model,
        base_url=provider.base_url,
        transfer=transfer,
        timeout_s=1.0,
    )


def fail(embedder: OpenAIEmbedder) -> JobError:
    with pytest.raises(JobError) as caught:
        embedder.embed(TEXTS)
    return caught.value


class TestTheFakeIsAsStrictAsOpenAI:
    def test_it_answers_the_official_client(self, official: openai.OpenAI) -> None:
        plain = official.embeddings.create(model=ADA, input=TEXTS, encoding_format="float")
        packed = official.embeddings.create(model=ADA, input=TEXTS)

        assert [item.index for item in plain.data] == [0, 1, 2]
        assert len(plain.data[0].embedding) == 1536
        assert np.allclose(plain.data[0].embedding, packed.data[0].embedding)
        assert plain.usage.prompt_tokens == plain.usage.total_tokens == 15

    def test_texts_that_share_words_are_similar(self, official: openai.OpenAI) -> None:
        answer = official.embeddings.create(model=ADA, input=TEXTS)
        cat, other_cat, rates = (np.array(item.embedding) for item in answer.data)

        assert cat @ other_cat > 0.3 > cat @ rates

    def test_tokens_are_a_text_too(self, official: openai.OpenAI) -> None:
        answer = official.embeddings.create(model=ADA, input=[[15339, 1917], [15339]])

        assert (len(answer.data), answer.usage.prompt_tokens) == (2, 3)

    @pytest.mark.parametrize(("model", "dimensions"), [(LARGE, 3072), (LARGE, 1), (LARGE, None)])
    def test_dimensions_may_be_asked_for(
        self, official: openai.OpenAI, model: str, dimensions: int | None
    ) -> None:
        answer = official.embeddings.create(
            model=model, input="x", dimensions=dimensions or openai.omit
        )

        assert len(answer.data[0].embedding) == (dimensions or 3072)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"input": ""}, "'$.input' is invalid"),
            ({"input": []}, "'$.input' is invalid"),
            ({"input": ["a", ""]}, "'$.input' is invalid"),
            ({"input": ["a", 1]}, "'$.input' is invalid"),
            ({"input": ["a"] * 2_049}, "'$.input' is invalid"),
            ({"input": "word " * 8_193}, "maximum context length is 8192 tokens"),
            ({"input": ["word " * 8_000] * 38}, "Requested 380000 tokens, max 300000 tokens"),
            ({"input": "a", "dimensions": 512}, "does not support specifying dimensions"),
            ({"input": "a", "model": LARGE, "dimensions": 3073}, "must be 1 to 3072"),
            ({"input": "a", "encoding_format": "int8"}, "'float' and 'base64'"),
            ({"input": "a", "extra_body": {"truncate": True}}, "Unrecognized request argument"),
        ],
    )
    def test_a_request_openai_refuses_is_refused(
        self, official: openai.OpenAI, provider: FakeOpenAI, arguments: dict[str, str], words: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            official.embeddings.create(**{"model": ADA, **arguments})  # type: ignore[arg-type]

        assert words in caught.value.message
        assert provider.billed == []

    def test_a_wrong_key_is_refused(self, provider: FakeOpenAI) -> None:
        client = openai.OpenAI(api_key="sk-wrong-key", base_url=provider.base_url, max_retries=0)

        with client, pytest.raises(openai.AuthenticationError) as caught:
            client.embeddings.create(model=ADA, input="x")

        assert caught.value.code == "invalid_api_key"

    def test_an_unknown_model_is_refused(self, official: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as caught:
            official.embeddings.create(model="text-embedding-4", input="x")

        assert caught.value.code == "model_not_found"

    def test_beyond_the_rate_limit_it_says_when_to_come_back(
        self, official: openai.OpenAI, provider: FakeOpenAI
    ) -> None:
        provider.limit(requests=100, tokens=20)
        official.embeddings.create(model=ADA, input=TEXTS)

        with pytest.raises(openai.RateLimitError) as caught:
            official.embeddings.create(model=ADA, input=TEXTS)

        headers = caught.value.response.headers
        assert caught.value.code == "rate_limit_exceeded"
        assert 0 < int(headers["retry-after"]) <= 60
        assert headers["x-ratelimit-limit-tokens"] == "20"
        assert int(headers["x-ratelimit-remaining-tokens"]) < 15
        assert headers["x-ratelimit-reset-tokens"].endswith("s")

    def test_it_remembers_what_was_paid_for(
        self, official: openai.OpenAI, provider: FakeOpenAI
    ) -> None:
        provider.inject("500", "cut")
        for _ in range(3):
            try:
                official.embeddings.create(model=ADA, input=TEXTS)
            except openai.APIError:
                continue

        assert provider.billed == TEXTS * 2
        assert provider.tokens_billed == 30


@pytest.mark.parametrize("transfer", ["base64", "float"])
@pytest.mark.parametrize("model", [ADA, "text-embedding-3-small", LARGE])
def test_vectors_come_in_the_order_of_the_texts(
    provider: FakeOpenAI, transfer: Transfer, model: str
) -> None:
    provider.inject("shuffled")

    with closing(make_embedder(provider, model=model, transfer=transfer)) as embedder:
        shuffled, straight = embedder.embed(TEXTS), embedder.embed(TEXTS)

    assert shuffled.vectors.shape == (3, EMBEDDING_DIMENSIONS)
    assert shuffled.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(shuffled.vectors, axis=1), 1)
    assert np.array_equal(shuffled.vectors, straight.vectors)
    assert shuffled.tokens == 15


def test_only_the_large_model_is_asked_for_fewer_dimensions(provider: FakeOpenAI) -> None:
    for model in (ADA, LARGE):
        with closing(make_embedder(provider, model=model)) as embedder:
            embedder.embed(["x"])

    assert [request.get("dimensions") for request in provider.requests] == [None, 1536]


def test_nothing_to_embed_is_no_request(embedder: OpenAIEmbedder, provider: FakeOpenAI) -> None:
    embedded = embedder.embed([])

    assert embedded.vectors.shape == (0, EMBEDDING_DIMENSIONS)
    assert provider.requests == []


def test_a_text_that_utf8_cannot_carry_is_sent_all_the_same(
    embedder: OpenAIEmbedder, provider: FakeOpenAI
) -> None:
    embedder.embed(["a \ud800 b"])

    assert provider.billed == ["a \ufffd b"]


def test_a_provider_that_bills_nothing_reports_no_tokens(
    embedder: OpenAIEmbedder, provider: FakeOpenAI
) -> None:
    provider.inject("no_usage")

    assert embedder.embed(TEXTS).tokens == 0


TRANSIENT: dict[Fault, str] = {
    "500": "is in trouble (HTTP 500)",
    "503": "is in trouble (HTTP 503)",
    "429": "more requests than the account's limit",
    "quota": "quota is used up",
    "refuse": "connection to the embedding provider failed",
    "cut": "connection to the embedding provider failed",
    "silent": "did not answer within 1 seconds, the limit",
    "drip": "did not answer within 1 seconds, the limit",
    "json": "did not answer in valid JSON",
    "html": "did not answer in valid JSON",
    "short_vectors": "vectors of 1535 dimensions, the model text-embedding-ada-002 has 1536",
    "uneven_vectors": "vectors of different lengths",
    "missing_vector": "gave 2 vectors for 3 texts",
    "wrong_index": "numbered its vectors wrongly",
    "nan": "without finite numbers",
    "zeros": "a vector of zeros",
    "text_vector": "a vector that cannot be read",
}


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_provider_in_trouble_is_asked_again_later(
    embedder: OpenAIEmbedder, provider: FakeOpenAI, fault: Fault
) -> None:
    provider.inject(fault)

    failure = fail(embedder)

    assert isinstance(failure, Transient)
    assert TRANSIENT[fault] in str(failure)
    assert len(provider.requests) == 1
    assert len(embedder.embed(TEXTS).vectors) == 3


def test_a_rate_limit_says_how_long_to_wait(embedder: OpenAIEmbedder, provider: FakeOpenAI) -> None:
    provider.limit(tokens=20)
    embedder.embed(TEXTS)

    failure = fail(embedder)

    assert isinstance(failure, Transient)
    assert failure.retry_after_s is not None
    assert 0 < failure.retry_after_s <= 60


def test_trouble_has_nothing_to_do_with_the_rate(
    embedder: OpenAIEmbedder, provider: FakeOpenAI
) -> None:
    provider.limit(tokens=1_000)
    provider.inject("503")

    failure = fail(embedder)

    assert isinstance(failure, Transient)
    assert failure.retry_after_s is None


def test_a_used_up_quota_waits_long(embedder: OpenAIEmbedder, provider: FakeOpenAI) -> None:
    provider.inject("quota")

    failure = fail(embedder)

    assert isinstance(failure, Transient)
    assert failure.retry_after_s == QUOTA_RETRY_AFTER_S


def test_a_provider_that_is_not_there_is_transient() -> None:
    embedder = OpenAIEmbedder(api_key="sk-x", model=ADA, base_url="http://127.0.0.1:9/v1")

    with closing(embedder):
        assert isinstance(fail(embedder), Transient)


def test_an_unknown_model_fails_for_good(provider: FakeOpenAI) -> None:
    with closing(make_embedder(provider, model="text-embedding-9")) as embedder:
        failure = fail(embedder)

    assert isinstance(failure, Permanent)
    assert "does not offer the model text-embedding-9" in str(failure)


def test_a_request_that_is_refused_fails_for_good_with_the_providers_words(
    embedder: OpenAIEmbedder,
) -> None:
    with pytest.raises(Permanent, match=r"HTTP 400.*maximum context length is 8192 tokens"):
        embedder.embed(["word " * 9_000])


def test_a_wrong_key_fails_for_good(provider: FakeOpenAI) -> None:
    with closing(make_embedder(provider, api_key="sk-wrong-but-secret")) as embedder:
        failure = fail(embedder)

    assert isinstance(failure, Permanent)
    assert "does not accept the API key (HTTP 401)" in str(failure)


def test_the_key_is_in_no_message_and_no_trace(
    embedder: OpenAIEmbedder, provider: FakeOpenAI
) -> None:
    provider.inject("echo_key")

    failure = fail(embedder)

    assert provider.api_key not in "".join(traceback.format_exception(failure))


@pytest.mark.parametrize("key", ["", "sk-a b", "sk-a\n", "sk-ä"])
def test_a_key_that_cannot_be_sent_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        OpenAIEmbedder(api_key=key, model=ADA)

    assert not key or key not in str(caught.value)
