"""/v1/search and /v1/embeddings, served by uvicorn from a real database."""

import base64
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import openai
import pytest
import uvicorn

from db.embedded import Services
from db.pool import Connection, connect, open_pool
from pipelines.gateways.local_embedder import LOCAL_MODEL, LocalEmbedder
from tests.conftest import fresh_database
from tests.dashboard_world import CHEAP
from tests.fakes import FakeOpenAI, fake_openai
from tests.integration.schema_world import insert, sign_up
from workers import config
from workers.config import Config
from workers.dashboard import app, server
from workers.dashboard.api import BODY_BYTES_MAX
from workers.dashboard.passwords import Passwords
from workers.dashboard.readiness import ANSWER_S, Readiness
from workers.dashboard.sessions import Sessions
from workers.dashboard.site import Site
from workers.exposition import Reader

KEY = "service-key-of-the-tests"
TEXTS = ("Parking is free.", "Refunds take thirty days.", "Lunch is served at noon.")
QUESTION = "How long does a refund take?"


@dataclass(frozen=True)
class Client:
    """Speaks to one server; None as the key sends no header."""

    port: int
    key: str | None = KEY

    def post(self, path: str, body: Any) -> tuple[int, Any, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        connection.request("POST", path, raw, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers

    def search(self, **body: Any) -> Any:
        status, found, _ = self.post("/v1/search", body)
        assert status == 200, found
        return found

    def refused(self, path: str, body: Any) -> tuple[int, Any]:
        status, answer, _ = self.post(path, body)
        return status, answer["error"]


@dataclass(frozen=True)
class Place:
    database_url: str
    redis_url: str


@contextmanager
def serving(settings: Config, place: Place) -> Iterator[int]:
    with (
        open_pool(place.database_url, size_max=2) as pool,
        server.listen("127.0.0.1", 0) as listening,
    ):
        borrow = partial(pool.connection, timeout=ANSWER_S)
        routes = server.open_api(settings, borrow)
        site = Site(borrow, Sessions(borrow, settings), settings, Passwords(CHEAP))
        served = app.create(Reader(borrow), Readiness(pool, place.redis_url), site, routes)
        running = uvicorn.Server(uvicorn.Config(served, log_config=None, lifespan="off"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        running.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def place(services: Services, template: str) -> Iterator[Place]:
    """One database for the module: every test has an agent of its own."""
    assert services.redis_url is not None
    with fresh_database(services, template=template) as url:
        yield Place(url, services.redis_url)


@pytest.fixture
def conn(place: Place) -> Iterator[Connection]:
    with connect(place.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def settings() -> Config:
    return replace(config.read({}), service_api_key=KEY)


@pytest.fixture(scope="module")
def client(settings: Config, place: Place) -> Iterator[Client]:
    with serving(settings, place) as port:
        yield Client(port)


def make_agent(conn: Connection, model: str | None) -> UUID:
    """An agent with three chunks; with vectors where the local model made them."""
    owner, agent_id, source_id = uuid4(), uuid4(), uuid4()
    sign_up(conn, owner, f"{owner}@example.com")
    agent = {"id": agent_id, "user_id": owner, "name": "Agent", "embedding_model": model}
    insert(conn, "agents", agent)
    source = {"id": source_id, "agent_id": agent_id, "name": "FAQ", "type": "text", "content": "x"}
    insert(conn, "knowledge_sources", source)
    vectors = LocalEmbedder().embed(TEXTS).vectors
    for place, text in enumerate(TEXTS):
        chunk = {
            "agent_id": agent_id,
            "source_id": source_id,
            "content": text,
            "chunk_index": place,
            "embedding": str(vectors[place].tolist()) if model == LOCAL_MODEL else None,
            "metadata": {"heading_path": ["FAQ"], "place": place},
        }
        insert(conn, "knowledge_chunks", chunk)
    return agent_id


@pytest.fixture
def agent(conn: Connection) -> UUID:
    return make_agent(conn, LOCAL_MODEL)


def test_the_answer_comes_first_and_says_why(client: Client, agent: UUID) -> None:
    best, *_ = client.search(agent_id=str(agent), query=QUESTION)

    assert (best["content"], best["heading_path"]) == (TEXTS[1], ["FAQ"])
    assert {UUID(best["source_id"]), UUID(best["chunk_id"])}
    why = best["why"]
    assert (why["vector_rank"], why["lexical_rank"]) == (1, 1)
    assert why["matched_words"] == ["refund", "take"]
    assert best["score"] == pytest.approx(3 / 61)


def test_each_mode_is_served(client: Client, agent: UUID) -> None:
    asked = {"agent_id": str(agent), "query": QUESTION}

    by_words = client.search(**asked, mode="text")
    by_vector = client.search(**asked, mode="vector", threshold=-1)

    assert [each["content"] for each in by_words] == [TEXTS[1]]
    assert by_words[0]["why"]["vector_rank"] is None
    assert by_vector[0]["why"]["lexical_rank"] is None
    assert len(by_vector) == 3


def test_it_is_narrowed_and_widened(client: Client, agent: UUID) -> None:
    asked = {"agent_id": str(agent), "query": QUESTION, "threshold": -1}

    limited = client.search(**asked, limit=1, neighbours=1)
    filtered = client.search(**asked, filter={"place": 2})
    elsewhere = client.search(**asked, source_ids=[str(uuid4())])

    around = [(each["content"], each["distance"]) for each in limited[0]["neighbours"]]
    assert around == [(TEXTS[0], -1), (TEXTS[2], 1)]
    assert [each["content"] for each in filtered] == [TEXTS[2]]
    assert elsewhere == []


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"agent_id": "nobody"}, "agent_id"),
        ({"agent_id": None}, "agent_id"),
        ({"query": " "}, "query"),
        ({"query": 7}, "query"),
        ({"query": "x" * 10_001}, "query"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"mode": "magic"}, "mode"),
        ({"mode": ["text"]}, "mode"),
        ({"source_ids": "x"}, "source_ids"),
        ({"source_ids": ["x"]}, "source_ids"),
        ({"filter": []}, "filter"),
        ({"neighbours": 11}, "neighbours"),
        ({"threshold": "high"}, "threshold"),
        ({"threshold": 1e400}, "threshold"),
        ({"quary": "x"}, "quary"),
    ],
)
def test_a_bad_field_is_named(
    client: Client, agent: UUID, changes: dict[str, Any], param: str
) -> None:
    body = {"agent_id": str(agent), "query": "x"} | changes

    status, error = client.refused("/v1/search", body)

    assert (status, error["param"]) == (422, param)
    assert error["message"].startswith(param)


def test_what_postgres_cannot_store_is_refused(client: Client, agent: UUID) -> None:
    body = {"agent_id": str(agent), "query": "x\0\ud800", "filter": {"a": "\0"}}

    assert client.refused("/v1/search", body)[0] == 422
    assert client.search(agent_id=str(agent), query="refund\0\ud800", mode="text") != []


def test_an_unknown_agent_is_not_found(client: Client, agent: UUID) -> None:
    status, error = client.refused("/v1/search", {"agent_id": str(uuid4()), "query": "x"})

    assert (status, error["code"]) == (404, "agent_not_found")


@pytest.mark.parametrize("path", ["/v1/search", "/v1/embeddings"])
@pytest.mark.parametrize("key", [None, "", "wrong", KEY + "x", "é"])
def test_without_the_key_nobody_is_served(client: Client, path: str, key: str | None) -> None:
    status, answer, headers = replace(client, key=key).post(path, {})

    assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
    assert headers["WWW-Authenticate"] == "Bearer"
    assert KEY not in json.dumps(answer)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/embeddings"])
def test_it_is_closed_until_a_key_is_set(settings: Config, place: Place, path: str) -> None:
    with serving(replace(settings, service_api_key=None), place) as port:
        status, error = Client(port, key="").refused(path, {})

    assert (status, "SERVICE_API_KEY" in error["message"]) == (503, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'"' + b"x" * BODY_BYTES_MAX + b'"', 413),
    ],
)
@pytest.mark.parametrize("path", ["/v1/search", "/v1/embeddings"])
def test_a_bad_body_is_refused(client: Client, path: str, body: bytes, status: int) -> None:
    assert client.refused(path, body)[0] == status


@pytest.fixture
def official(client: Client) -> Iterator[openai.OpenAI]:
    base_url = f"http://127.0.0.1:{client.port}/v1"
    with openai.OpenAI(api_key=KEY, base_url=base_url, max_retries=0) as found:
        yield found


def test_openais_own_client_gets_the_vectors_that_are_stored(official: openai.OpenAI) -> None:
    """It asks for base64, which it decodes by itself."""
    answer = official.embeddings.create(model="local", input=list(TEXTS))

    stored = LocalEmbedder().embed(TEXTS).vectors
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert np.array_equal(np.array([item.embedding for item in answer.data], "f4"), stored)
    assert (answer.object, answer.model) == ("list", "local")
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


def test_one_text_its_tokens_and_floats_give_the_same(official: openai.OpenAI) -> None:
    ways: list[dict[str, Any]] = [
        {"input": TEXTS[0]},
        {"input": [TEXTS[0]]},
        {"input": TEXTS[0], "encoding_format": "float"},
        {"input": [95416, 374, 1949, 13]},
        {"input": [[95416, 374, 1949, 13]]},
    ]

    found = [official.embeddings.create(model=LOCAL_MODEL, **way).data[0].embedding for way in ways]

    assert all(np.allclose(each, found[0]) for each in found)
    assert len(found[0]) == 1536


def test_base64_holds_little_endian_floats(client: Client) -> None:
    asked = {"model": "local", "input": TEXTS[0], "encoding_format": "base64"}

    _, answer, _ = client.post("/v1/embeddings", asked)

    raw = base64.b64decode(answer["data"][0]["embedding"])
    assert np.array_equal(np.frombuffer(raw, "<f4"), LocalEmbedder().embed([TEXTS[0]]).vectors[0])


def test_fewer_dimensions_keep_unit_length(official: openai.OpenAI) -> None:
    answer = official.embeddings.create(model="local", input=TEXTS[0], dimensions=64)

    vector = answer.data[0].embedding
    assert len(vector) == 64
    assert float(np.linalg.norm(vector)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "status", "param"),
    [
        ({"input": ""}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": ["a", ""]}, 400, "input"),
        ({"input": ["a", 7]}, 400, "input"),
        ({"input": [1e9]}, 400, "input"),
        ({"input": [10**9]}, 400, "input"),
        ({"input": [-1]}, 400, "input"),
        ({"input": ["a"] * 2_049}, 400, "input"),
        ({"input": [" word" * 8_000] * 40}, 400, "input"),
        ({"input": None}, 400, "input"),
        ({"model": None}, 400, "model"),
        ({"model": "gpt-9"}, 404, "model"),
        ({"dimensions": 0}, 400, "dimensions"),
        ({"dimensions": 1537}, 400, "dimensions"),
        ({"encoding_format": "hex"}, 400, "encoding_format"),
        ({"truncate": True}, 400, "truncate"),
    ],
)
def test_a_bad_embedding_request_is_refused_in_openais_shape(
    client: Client, changes: dict[str, Any], status: int, param: str
) -> None:
    body = {"model": "local", "input": "a"} | changes

    refused, error = client.refused("/v1/embeddings", body)

    assert (refused, error["param"]) == (status, param)
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"


def test_a_text_beyond_the_models_limit_is_refused(client: Client) -> None:
    status, error = client.refused("/v1/embeddings", {"model": "local", "input": "word " * 9_000})

    assert (status, "8,192" in error["message"]) == (400, True)


def test_the_official_client_raises_its_own_errors(official: openai.OpenAI, client: Client) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-9"):
        official.embeddings.create(model="gpt-9", input="a")
    with pytest.raises(openai.AuthenticationError, match="SERVICE_API_KEY"):
        official.with_options(api_key="wrong").embeddings.create(model="local", input="a")


@pytest.fixture
def provider() -> Iterator[FakeOpenAI]:
    with fake_openai() as fake:
        yield fake


@pytest.fixture
def paid(provider: FakeOpenAI, settings: Config, place: Place) -> Iterator[Client]:
    """Embeds by a provider that bills."""
    paying = replace(
        settings,
        openai_api_key=provider.api_key,
        openai_base_url=provider.base_url,
        embedding_model="text-embedding-3-small",
    )
    with serving(paying, place) as port:
        yield Client(port)


def test_an_agents_own_model_is_used_and_its_owner_pays_once(
    paid: Client, provider: FakeOpenAI, conn: Connection
) -> None:
    agent = make_agent(conn, "text-embedding-ada-002")

    paid.search(agent_id=str(agent), query=QUESTION)

    assert [request["model"] for request in provider.requests] == ["text-embedding-ada-002"]
    logged = conn.execute(
        "SELECT l.ai_model, l.total_tokens, l.total_cost > 0 FROM public.usage_logs AS l"
        " JOIN public.agents AS a ON a.id = l.agent_id AND a.user_id = l.user_id WHERE a.id = %s",
        [agent],
    ).fetchall()
    assert logged == [("text-embedding-ada-002", provider.tokens_billed, True)]


def test_words_answer_alone_while_the_provider_is_in_trouble(
    paid: Client, provider: FakeOpenAI, conn: Connection
) -> None:
    agent = make_agent(conn, "text-embedding-ada-002")
    provider.inject("500", "429")
    asked = {"agent_id": str(agent), "query": QUESTION}

    status, found, headers = paid.post("/v1/search", asked)
    refused = paid.refused("/v1/search", {**asked, "mode": "vector"})

    assert (status, [each["content"] for each in found]) == (200, [TEXTS[1]])
    assert headers["X-Search-Mode"] == "text"
    assert (refused[0], refused[1]["code"]) == (503, "provider_busy")


def test_a_silent_provider_does_not_hold_a_question_up(
    paid: Client, provider: FakeOpenAI, conn: Connection
) -> None:
    """The client would give up long before the workers' own patience ends."""
    agent = make_agent(conn, "text-embedding-ada-002")
    provider.inject("silent")

    status, _, headers = paid.post("/v1/search", {"agent_id": str(agent), "query": QUESTION})

    assert (status, headers["X-Search-Mode"]) == (200, "text")


def test_a_model_of_an_agent_may_be_asked_for(
    paid: Client, provider: FakeOpenAI, conn: Connection
) -> None:
    body = {"model": "text-embedding-3-large", "input": "a"}
    before, _ = paid.refused("/v1/embeddings", body)
    make_agent(conn, "text-embedding-3-large")

    status, answer, _ = paid.post("/v1/embeddings", body)

    assert (before, status, len(answer["data"][0]["embedding"])) == (404, 200, 1536)
    assert answer["usage"]["total_tokens"] == provider.tokens_billed
