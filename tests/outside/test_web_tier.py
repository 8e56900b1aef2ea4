"""A web tier of today: supabase-js through PostgREST, on a project like a hosted one.

Sign-in is Supabase Auth's job; here its tokens are signed by the test.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.embedded import Services
from db.migrate import migrate
from db.pool import Connection, connect
from pipelines.gateways.local_embedder import LocalEmbedder
from tests.conftest import with_database
from tests.integration.schema_world import TABLES
from tests.outside.hosted import hosted_project
from tests.outside.postgrest import WebTier, serve_postgrest
from tests.processes import avivro

GUIDE = """# Delivery

We deliver to every address in Norway within three working days.

# Returns

Send anything back within thirty days, and we refund the full price.
"""


@pytest.fixture(scope="module")
def project_url(services: Services) -> Iterator[str]:
    """A migrated project, shared by tests that bring their own people."""
    with hosted_project(services) as url:
        migrate(url)
        yield url


@pytest.fixture(scope="module")
def web_tier(project_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebTier]:
    with serve_postgrest(project_url, tmp_path_factory.mktemp("postgrest")) as running:
        yield running


@pytest.fixture
def auth(services: Services, project_url: str) -> Iterator[Connection]:
    """A connection with the rights of Supabase Auth."""
    assert services.database_url is not None
    superuser_url = with_database(services.database_url, project_url.rpartition("/")[2])
    with connect(superuser_url, autocommit=True) as conn:
        conn.execute("SET ROLE supabase_auth_admin")
        yield conn


@pytest.fixture
def owner(auth: Connection) -> UUID:
    return sign_up(auth)


@pytest.fixture
def stranger(auth: Connection) -> UUID:
    return sign_up(auth)


def sign_up(auth: Connection) -> UUID:
    user = uuid4()
    auth.execute(
        "INSERT INTO auth.users (id, email, raw_user_meta_data)"
        """ VALUES (%s, %s, '{"full_name": "John Doe"}')""",
        (user, f"{user}@example.com"),
    )
    return user


def work(web_tier: WebTier, owner: UUID) -> dict[str, Any]:
    worked: dict[str, Any] = web_tier.play("ownerWorks", user=owner, userId=owner)
    return worked


def test_the_documented_examples_work_for_an_owner(web_tier: WebTier, owner: UUID) -> None:
    seen = work(web_tier, owner)

    assert seen["agent"]["public_url"].endswith(f"/a/{seen['agent']['id']}")
    assert (seen["message"]["role"], seen["message"]["tokens_used"]) == ("assistant", 150)
    assert seen["updatedLead"]["status"] == "contacted"
    assert [found["total_count"] for found in seen["conversations"]] == [1]
    assert seen["conversation"]["is_lead"] is True
    assert [said["role"] for said in seen["conversation"]["messages"]] == ["user", "assistant"]


def test_an_owner_sees_what_triggers_made_of_it(web_tier: WebTier, owner: UUID) -> None:
    seen = work(web_tier, owner)

    analytics, counters = seen["analytics"], seen["counters"]
    assert counters == {"total_conversations": 1, "total_messages": 2, "total_leads": 1}
    assert {name: analytics[name] for name in counters} == counters
    assert (seen["profile"]["full_name"], seen["usage"]["agents_count"]) == ("John Doe", 1)
    assert {each["event_type"] for each in seen["deliveries"]} == {
        "conversation.started",
        "lead.captured",
    }
    assert {each["type"] for each in seen["notifications"]} == {"new_conversation", "new_lead"}
    assert {"action": "created", "resource_type": "agent"} in seen["activity"]
    assert seen["dashboard"]["new_leads_last_7_days"] == 1


def test_a_source_of_a_signed_in_user_becomes_searchable(
    web_tier: WebTier, project_url: str, redis_url: str, owner: UUID, tmp_path: Path
) -> None:
    agent_id = work(web_tier, owner)["agent"]["id"]
    with avivro(
        tmp_path / "run",
        DATABASE_URL=project_url,
        REDIS_URL=redis_url,
        AVIVRO_HOME=str(tmp_path / "home"),
    ) as commands:
        commands.start("dispatcher")
        commands.start("worker")

        added = web_tier.play("addKnowledge", user=owner, agentId=agent_id, content=GUIDE)
        ended = web_tier.play("watchSource", user=owner, sourceId=added["id"], deadlineSeconds=45)

    found = web_tier.play(
        "searchKnowledge",
        user=owner,
        agentId=agent_id,
        queryEmbedding=embed("How long do I have to send something back?"),
    )
    assert (added["status"], ended["status"], ended["error_message"]) == (
        "pending",
        "completed",
        None,
    )
    assert found[0].keys() == {"id", "source_id", "content", "metadata", "similarity"}
    assert "thirty days" in found[0]["content"]
    assert found[0]["source_id"] == added["id"]


def test_a_visitor_opens_a_conversation_and_leaves_a_lead(web_tier: WebTier, owner: UUID) -> None:
    agent_id = work(web_tier, owner)["agent"]["id"]

    conversation_id = web_tier.play("visitorWrites", agentId=agent_id)

    conversation = web_tier.play("readConversation", user=owner, conversationId=conversation_id)
    assert conversation["is_lead"] is True
    assert [said["content"] for said in conversation["messages"]] == ["Do you deliver on Sundays?"]


def test_a_visitor_reads_nothing_back(web_tier: WebTier, owner: UUID) -> None:
    web_tier.play("visitorWrites", agentId=work(web_tier, owner)["agent"]["id"])

    seen = web_tier.play("readEverything", tables=TABLES)

    assert seen == {table: {"code": "42501"} for table in TABLES}


def test_a_visitor_cannot_overstep(web_tier: WebTier, project_url: str, owner: UUID) -> None:
    worked = work(web_tier, owner)
    open_id = worked["conversation"]["id"]
    with connect(project_url, autocommit=True) as conn:
        closed_id = conn.execute(
            "INSERT INTO public.conversations (agent_id, status) VALUES (%s, 'resolved')"
            " RETURNING id",
            (worked["agent"]["id"],),
        ).fetchone()

    answers = web_tier.play(
        "visitorOversteps",
        agentId=worked["agent"]["id"],
        openId=open_id,
        closedId=closed_id[0] if closed_id else None,
    )

    public = answers.pop("readsPublicAgent")
    assert public["rows"] >= 1
    assert answers.pop("reachesTheWorkers") == {"code": "PGRST106"}
    assert answers == {name: {"code": "42501"} for name in answers}


def test_a_stranger_sees_nothing(web_tier: WebTier, owner: UUID, stranger: UUID) -> None:
    work(web_tier, owner)

    seen = web_tier.play("readEverything", user=stranger, tables=TABLES)

    # A profile, and the welcome that was mailed.
    own = {"user_profiles": 1, "email_logs": 1}
    assert seen == {table: {"rows": own.get(table, 0)} for table in TABLES}


def test_a_stranger_changes_nothing(web_tier: WebTier, owner: UUID, stranger: UUID) -> None:
    worked = work(web_tier, owner)
    agent_id = worked["agent"]["id"]
    source = web_tier.play("addKnowledge", user=owner, agentId=agent_id, content=GUIDE)

    answers = web_tier.play(
        "strangerOversteps",
        user=stranger,
        strangerId=stranger,
        ownerId=owner,
        agentId=agent_id,
        leadId=worked["updatedLead"]["id"],
        sourceId=source["id"],
        webhookId=worked["webhook"]["id"],
        conversationId=worked["conversation"]["id"],
        queryEmbedding=embed("anything"),
    )

    refused, nothing = {"code": "42501"}, {"rows": 0}
    assert answers == {
        "createsForTheOwner": refused,
        "addsKnowledge": refused,
        "renamesTheAgent": nothing,
        "updatesTheLead": nothing,
        "deletesTheSource": nothing,
        "searchesKnowledge": nothing,
        "readsTheConversation": None,
        "listsConversations": nothing,
        "readsDeliveries": nothing,
        "raisesOwnLimit": refused,
        "notifiesTheOwner": refused,
    }


def embed(question: str) -> list[float]:
    vector: list[float] = LocalEmbedder().embed([question]).vectors[0].tolist()
    return vector
