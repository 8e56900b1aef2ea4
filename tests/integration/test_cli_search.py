"""`avivro search`, as an operator uses it."""

import json
from uuid import UUID, uuid4

import pytest

from db.pool import Connection
from pipelines.gateways.local_embedder import LOCAL_MODEL, LocalEmbedder
from tests.integration.schema_world import OWNER, insert, sign_up
from tests.processes import Avivro

TEXTS = ("Parking is free.", "Refunds take thirty days.", "Lunch is served at noon.")


@pytest.fixture
def agent(conn: Connection) -> UUID:
    """An agent with three chunks of one source."""
    sign_up(conn, OWNER, "owner@example.com")
    agent_id, source_id = uuid4(), uuid4()
    agent = {"id": agent_id, "user_id": OWNER, "name": "A", "embedding_model": LOCAL_MODEL}
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
            "embedding": str(vectors[place].tolist()),
            "metadata": {"heading_path": ["House", "Rules"], "place": place},
        }
        insert(conn, "knowledge_chunks", chunk)
    return agent_id


def test_the_best_passage_is_shown_with_why_it_came(commands: Avivro, agent: UUID) -> None:
    shown = commands.run("search", str(agent), "How long do refunds take?", "--limit", "1").stdout

    assert ("FAQ" in shown, "House > Rules" in shown) == (True, True)
    assert "meaning #1, similarity" in shown
    assert "words #1, score" in shown
    assert "refunds, take" in " ".join(shown.split())
    assert "Refunds take thirty days." in shown


def test_every_way_to_narrow_is_taken(commands: Avivro, agent: UUID) -> None:
    def found(*options: str) -> list[str]:
        ended = commands.run("search", str(agent), "refund lunch", "--json", *options)
        return [passage["content"] for passage in json.loads(ended.stdout)]

    assert set(found("--mode", "text")) == {TEXTS[1], TEXTS[2]}
    assert found("--mode", "text", "--filter", '{"place": 2}') == [TEXTS[2]]
    assert len(found("--mode", "vector", "--threshold", "-1")) == 3
    assert found("--source", str(uuid4())) == []


def test_neighbours_surround_the_passage(commands: Avivro, agent: UUID) -> None:
    asked = ("search", str(agent), "refunds", "--mode", "text", "--neighbours", "1")

    shown = commands.run(*asked).stdout
    (best,) = json.loads(commands.run(*asked, "--json").stdout)

    places = [shown.index(text) for text in TEXTS]
    assert places == sorted(places)
    assert [each["content"] for each in best["neighbours"]] == [TEXTS[0], TEXTS[2]]


@pytest.mark.parametrize("metadata", ['"text"', "null", '{"heading_path": "House"}'])
def test_a_chunk_with_any_metadata_is_shown(
    commands: Avivro, conn: Connection, agent: UUID, metadata: str
) -> None:
    """The web tier may store what it likes there."""
    conn.execute("UPDATE public.knowledge_chunks SET metadata = %s", [metadata])
    asked = ("search", str(agent), "refunds", "--mode", "text", "--neighbours", "1")

    shown = commands.run(*asked)
    (best,) = json.loads(commands.run(*asked, "--json").stdout)

    assert (shown.returncode, TEXTS[1] in shown.stdout) == (0, True)
    assert (best["heading_path"], best["neighbours"][0]["heading_path"]) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((" ",), 2, "empty"),
        (("x" * 10_001,), 2, "10,000"),
        (("x", "--filter", "[]"), 2, "--filter"),
        (("x", "--filter", '{"a": "\\u0000"}'), 2, "filter"),
        (("x", "--mode", "magic"), 2, "magic"),
        (("x", "--source", "y"), 2, "UUID"),
    ],
)
def test_what_cannot_be_asked_is_said(
    commands: Avivro, agent: UUID, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ended = commands.run("search", str(agent), *arguments)

    assert (ended.returncode, says in ended.stderr) == (code, True)
    assert "Traceback" not in ended.stderr
