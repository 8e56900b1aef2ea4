"""An agent moves to another embedding model: never empty, never mixed, never paid twice."""

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from uuid import uuid4

import psycopg
import pytest

from db import jobs, models, sources
from db.fence import LeaseLost
from db.jobs import Finish
from db.pool import Connection, connect, open_pool
from pipelines.gateways.embedder import Embedder
from pipelines.gateways.local_embedder import LOCAL_MODEL, LocalEmbedder
from pipelines.gateways.openai import OpenAIEmbedder
from tests.fakes import fake_openai
from tests.integration.schema_world import OTHER, OWNER, acting_as, build, row_id
from tests.integration.test_index_source import long_text
from tests.knowledge import Indexing
from tests.moving import ADA, Agent
from tests.processes import Avivro, wait_until
from workers import actors, config
from workers.jobs import IndexSource, enqueue
from workers.tools import Toolbox


@pytest.fixture
def agent(knowledge: Indexing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    with fake_openai() as fake:
        ada = OpenAIEmbedder(model=ADA, api_key=fake.api_key, base_url=fake.base_url)
        embedders: dict[str, Embedder] = {LOCAL_MODEL: LocalEmbedder(), ADA: ada}
        texts = [long_text(60, marked=f" of {n}") for n in range(2)]
        yield Agent(knowledge, fake, embedders, monkeypatch, texts)


def test_every_chunk_is_embedded_again_and_then_all_serve_at_once(agent: Agent) -> None:
    before = agent.contents()
    agent.ask()

    done = agent.run()

    assert done == ["change_model", "embed_again", "embed_again", "switch_model"]
    assert (agent.model, agent.models()) == (ADA, {ADA: len(before)})
    assert agent.contents() == before
    assert len(agent.fake.billed) == len(set(agent.fake.billed)) > 0
    assert agent.notices() == [f"Agent answers with the embedding model {ADA} from now on."]


def test_until_the_switch_the_old_chunks_serve_and_are_counted(agent: Agent) -> None:
    before = agent.knowledge.source(agent.sources[0])
    agent.ask()

    for _ in range(3):
        agent.step()

    local = agent.models()[LOCAL_MODEL]
    row = agent.knowledge.source(agent.sources[0])
    assert agent.model == LOCAL_MODEL
    assert agent.models() == {LOCAL_MODEL: local, ADA: local}
    assert row["chunks_count"] == before["chunks_count"]


def test_running_twice_changes_nothing(agent: Agent) -> None:
    agent.ask()
    agent.run()
    before, billed = agent.knowledge.chunks(agent.sources[0]), len(agent.fake.billed)
    agent.ask()

    agent.run()

    assert agent.knowledge.chunks(agent.sources[0]) == before
    assert len(agent.fake.billed) == billed
    assert len(agent.notices()) == 1


def test_the_next_indexing_knows_the_new_chunks_again(agent: Agent) -> None:
    agent.ask()
    agent.run()
    before, billed = agent.knowledge.chunks(agent.sources[0]), len(agent.fake.billed)
    enqueue(agent.knowledge.conn, IndexSource(agent.sources[0]))

    agent.run()

    assert agent.knowledge.chunks(agent.sources[0]) == before
    assert len(agent.fake.billed) == billed


@pytest.mark.parametrize("steps", range(4))
def test_killed_midway_each_of_its_jobs_stores_nothing_late_and_is_finished(
    agent: Agent, steps: int
) -> None:
    before = agent.contents()
    agent.ask()
    for _ in range(steps):
        agent.step()
    killed = agent.claim("default") or agent.claim("knowledge")
    assert killed is not None
    jobs.finish_jobs(
        agent.knowledge.conn, [Finish(killed.id, killed.attempt, "available", spared=True)]
    )
    with pytest.raises(LeaseLost), open_pool(agent.knowledge.url, size_max=2) as pool:
        actors.run_job(killed, Toolbox(config.load(), pool))
    early = agent.model

    agent.run()

    assert early == LOCAL_MODEL
    assert (agent.model, agent.contents()) == (ADA, before)
    assert len(agent.fake.billed) == len(set(agent.fake.billed))


def test_what_is_edited_meanwhile_is_caught_up(agent: Agent) -> None:
    first, second = agent.sources
    agent.ask()
    agent.step()
    agent.step()
    agent.edit(first, long_text(61, marked=" edited"))
    agent.edit(second, long_text(59, marked=" edited too"))

    done = agent.run()

    rows = agent.knowledge.rows("SELECT status FROM public.knowledge_sources")
    assert "index_source" in done
    assert agent.model == ADA
    assert agent.models() == {ADA: len(agent.contents())}
    assert {row["status"] for row in rows} == {"completed"}
    assert any("edited too" in row[2] for row in agent.contents())
    stored = agent.knowledge.chunks(first)
    assert "".join(chunk["content"] for chunk in stored) == long_text(61, marked=" edited")


def test_a_run_that_is_storing_holds_the_switch_back(agent: Agent) -> None:
    source_id = agent.sources[0]
    agent.ask()
    for _ in range(3):
        agent.step()
    job = agent.claim("default")
    assert job is not None
    with connect(agent.knowledge.url) as storing:
        sources.share_model(storing, source_id)
        storing.execute(
            "UPDATE public.knowledge_chunks SET content = content || ' edited'"
            " WHERE source_id = %s AND chunk_index = 0 AND embedding_model = %s",
            (source_id, LOCAL_MODEL),
        )
        switching = threading.Thread(target=agent.work, args=(job,))
        switching.start()
        wait_until(agent.waits_for_a_lock, "the switch waits")
        storing.commit()
    switching.join(30)
    early = agent.model

    agent.run()

    assert (early, agent.model) == (LOCAL_MODEL, ADA)
    assert sum(" edited" in row[2] for row in agent.contents()) == 1


def test_searches_during_the_change_find_old_or_new_chunks_never_none_never_both(
    agent: Agent,
) -> None:
    vector = "[" + ",".join(["1"] * 1536) + "]"
    stopped, seen = threading.Event(), []
    whole = len(agent.contents())

    def search() -> None:
        with connect(agent.knowledge.url, autocommit=True) as conn:
            while not stopped.is_set():
                rows = conn.execute(
                    "SELECT c.embedding_model, count(*) FROM public.match_knowledge_chunks("
                    " %s::extensions.vector, %s, -1, 1000) AS m"
                    " JOIN public.knowledge_chunks AS c ON c.id = m.id GROUP BY 1",
                    (vector, agent.knowledge.agent_id),
                ).fetchall()
                seen.append(rows)

    searching = threading.Thread(target=search)
    searching.start()
    agent.ask()
    agent.run()
    stopped.set()
    searching.join(30)

    assert {tuple(rows) for rows in seen} <= {((LOCAL_MODEL, whole),), ((ADA, whole),)}
    assert seen[0] == [(LOCAL_MODEL, whole)]


def test_a_source_that_cannot_be_embedded_keeps_the_agent_at_its_model(agent: Agent) -> None:
    before = agent.contents()
    agent.ask()
    agent.step()
    agent.embedders.pop(ADA)

    agent.run()

    assert (agent.model, agent.contents()) == (LOCAL_MODEL, before)
    assert agent.models() == {LOCAL_MODEL: len(before)}
    assert models.find_change(agent.knowledge.conn, agent.knowledge.agent_id) is None
    (notice,) = agent.notices()
    assert "keeps its embedding model, because 2 sources could not be embedded" in notice
    assert f"there is no model {ADA}" in notice


def test_a_model_that_cannot_be_reached_is_told_at_once(agent: Agent) -> None:
    agent.ask("text-embedding-9")

    agent.run()

    assert agent.model == LOCAL_MODEL
    assert agent.notices() == [
        "Agent keeps its embedding model: there is no model text-embedding-9"
    ]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_cancelled_change_leaves_nothing_behind(agent: Agent, steps: int) -> None:
    before = agent.contents()
    agent.ask()
    for _ in range(steps):
        agent.step()
    models.end_change(agent.knowledge.conn, agent.knowledge.agent_id)

    agent.run()

    assert (agent.model, agent.contents()) == (LOCAL_MODEL, before)
    assert agent.models() == {LOCAL_MODEL: len(before)}
    assert agent.notices() == []


def test_a_second_try_pays_only_for_what_is_missing(agent: Agent) -> None:
    agent.ask()
    agent.step()
    agent.step()
    models.end_change(agent.knowledge.conn, agent.knowledge.agent_id)
    agent.run()
    agent.ask()

    agent.run()

    assert agent.model == ADA
    assert len(agent.fake.billed) == len(set(agent.fake.billed))


def test_an_agent_without_chunks_switches_at_once(agent: Agent) -> None:
    agent.knowledge.conn.execute("DELETE FROM public.knowledge_sources")
    agent.ask()

    agent.run()

    assert agent.model == ADA


def test_chunks_without_a_model_get_twins_and_never_serve_with_the_new_one(agent: Agent) -> None:
    agent.knowledge.conn.execute(
        "UPDATE public.knowledge_chunks SET embedding_model = NULL, content_hash = NULL"
        " WHERE source_id = %s",
        (agent.sources[0],),
    )
    count = len(agent.contents())
    agent.ask()

    agent.run()

    assert agent.models() == {ADA: count}


def test_chunks_without_a_word_get_twins_without_a_vector(agent: Agent) -> None:
    """As the web tier may have stored them; a provider would refuse the whole request."""
    agent.knowledge.conn.execute(
        "INSERT INTO public.knowledge_chunks (source_id, agent_id, content, chunk_index, metadata)"
        " SELECT id, agent_id, ' ', 900, '[]' FROM public.knowledge_sources"
    )
    count = len(agent.contents())
    agent.ask()

    agent.run()

    assert agent.models() == {ADA: count}


def test_at_the_spending_cap_the_change_waits_and_the_old_chunks_serve(agent: Agent) -> None:
    conn = agent.knowledge.conn
    owner = agent.knowledge.row("SELECT user_id FROM public.agents")["user_id"]
    conn.execute("INSERT INTO worker.tenants (tenant, embedding_cap_usd) VALUES (%s, 0)", (owner,))
    agent.ask()
    agent.run()
    waiting = (agent.model, len(agent.fake.billed))
    rows = agent.knowledge.rows("SELECT status, error_message FROM public.knowledge_sources")

    conn.execute("UPDATE worker.tenants SET embedding_cap_usd = NULL")
    agent.run()

    assert waiting == (LOCAL_MODEL, 0)
    assert rows == [{"status": "completed", "error_message": None}] * 2
    assert agent.model == ADA


def test_an_estimate_is_exact_about_what_is_remembered(agent: Agent) -> None:
    conn, agent_id = agent.knowledge.conn, agent.knowledge.agent_id
    estimate = partial(models.estimate_reindex, conn, agent_id)
    count = len(agent.contents())

    same, other = estimate(model=None), estimate(model=ADA)
    agent.ask()
    agent.step()
    agent.step()
    half = estimate(model=ADA)
    agent.run()

    assert same is not None
    assert other is not None
    assert half is not None
    assert (same.chunks_kept, same.chunks_paid) == (count, 0)
    assert same.cost_usd == Decimal(0)
    texts = len({row[4] for row in agent.contents()})
    assert (other.chunks, other.chunks_paid, other.chunks_recalled) == (count, texts, count - texts)
    assert other.cost_usd == Decimal(other.tokens_paid) / 10_000_000
    assert other.tokens_paid == pytest.approx(agent.fake.tokens_billed, rel=0.05)
    assert 0 < half.chunks_paid < texts
    assert half.chunks_recalled == count - half.chunks_paid


def test_owners_ask_for_their_own_agents_only(conn: Connection) -> None:
    build(conn)
    mine = row_id("agents")

    with acting_as(conn, "authenticated", OWNER):
        job = conn.execute("SELECT change_embedding_model(%s, %s)", (mine, ADA)).fetchone()
        cost = conn.execute("SELECT chunks FROM estimate_reindex(%s)", (mine,)).fetchone()
        ended = conn.execute("SELECT cancel_model_change(%s)", (mine,)).fetchone()
    with (
        acting_as(conn, "authenticated", OWNER),
        pytest.raises(psycopg.DataError, match="nonsense"),
    ):
        conn.execute("SELECT change_embedding_model(%s, 'nonsense')", (mine,))

    assert job is not None
    assert (cost, ended) == ((1,), (False,))
    for call in (
        "SELECT change_embedding_model(%s, 'text-embedding-ada-002')",
        "SELECT * FROM estimate_reindex(%s)",
        "SELECT cancel_model_change(%s)",
    ):
        with acting_as(conn, "authenticated", OTHER), pytest.raises(psycopg.errors.NoDataFound):
            conn.execute(call.encode(), (mine,)).fetchall()


def test_commands_estimate_ask_show_and_cancel(commands: Avivro, agent: Agent) -> None:
    agent_id = str(agent.knowledge.agent_id)

    again = commands.run("reindex", agent_id, "--estimate", "--json")
    cost = commands.run("models", "estimate", agent_id, ADA, "--json")
    refused = commands.run("models", "change", agent_id, ADA)
    agreed = commands.run("models", "change", agent_id, ADA, "--yes", "--json")
    agent.step()
    shown = commands.run("models", "show", agent_id, "--json")
    ended = commands.run("models", "cancel", agent_id)

    assert json.loads(again.stdout)["chunks_paid"] == 0
    assert json.loads(cost.stdout)["chunks_paid"] > 0
    assert refused.returncode == 1
    assert json.loads(agreed.stdout)["job"] > 0
    assert json.loads(shown.stdout)["changing_to"] == ADA
    assert "keeps its model" in ended.stdout


def test_an_unknown_agent_is_refused(conn: Connection, commands: Avivro) -> None:
    asked = commands.run("models", "change", str(uuid4()), ADA, "--yes")

    assert asked.returncode == 1
    assert "there is no agent" in asked.stderr
