"""Scores by a chat provider, over its API, as the database keeps them: whatever it answers."""

from collections.abc import Iterator
from random import Random

import pytest

from db.pool import Connection
from pipelines.errors import Transient
from pipelines.gateways.chat import ChatClient
from pipelines.sentiment.chat_judge import ChatJudge
from pipelines.sentiment.local_judge import LocalJudge
from pipelines.sentiment.verdict import LOCAL
from tests.fakes_chat import MODEL, Canned, FakeChat, Fault, fake_chat
from tests.fakes_chat_injections import INJECTIONS, PLAIN
from tests.fakes_chat_mind import STYLES
from tests.scoring import Scoring, scoring

SLEEPER = "My cat walks over the piano at night"


@pytest.fixture
def world(conn: Connection, database_url: str) -> Iterator[Scoring]:
    with scoring(conn, database_url) as prepared:
        yield prepared


@pytest.fixture
def fake() -> Iterator[FakeChat]:
    with fake_chat() as serving:
        yield serving


def score(world: Scoring, fake: FakeChat) -> None:
    client = ChatClient(api_key=fake.api_key, model=MODEL, base_url=fake.base_url)
    judge = ChatJudge(client, LocalJudge(), random=Random(5))
    with world.attempt() as fence:
        world.work(fence, judge=judge)


def stored(world: Scoring) -> dict[str, tuple[str, str]]:
    """The label and the judge of each message, by its text."""
    rows = world.rows(
        "SELECT m.content, m.sentiment_label, s.judge FROM messages AS m"
        " JOIN sentiment_analysis AS s ON s.message_id = m.id"
    )
    return {row["content"]: (row["sentiment_label"], row["judge"]) for row in rows}


def right(world: Scoring) -> bool:
    found = stored(world)
    return {text: found[text][0] for text in PLAIN} == PLAIN


def test_one_call_scores_many_messages_and_its_tokens_are_logged(
    world: Scoring, fake: FakeChat
) -> None:
    world.converse(*PLAIN)

    score(world, fake)

    (logged,) = world.rows("SELECT ai_model, prompt_tokens, completion_tokens FROM usage_logs")
    assert right(world)
    assert {judge for _, judge in stored(world).values()} == {MODEL}
    assert len(fake.requests) == 1
    assert logged == {
        "ai_model": MODEL,
        "prompt_tokens": fake.prompt_tokens,
        "completion_tokens": fake.completion_tokens,
    }


@pytest.mark.parametrize("style", ["all 1.0", "the next -1.0", "two swapped", "another schema"])
def test_a_message_that_the_model_obeys_changes_no_score_but_its_own(
    world: Scoring, fake: FakeChat, style: str
) -> None:
    fake.obeys, fake.injections = STYLES[style], {SLEEPER, *INJECTIONS}
    world.converse(*PLAIN, SLEEPER, *INJECTIONS[:10])

    score(world, fake)

    assert right(world)
    assert {stored(world)[text][1] for text in INJECTIONS[:10]} == {LOCAL}


@pytest.mark.parametrize("fault", ["malformed", "last_missing", "refusal", "choice_error", "nan"])
def test_answers_that_cannot_be_used_leave_no_message_unscored(
    world: Scoring, fake: FakeChat, fault: Fault
) -> None:
    fake.always = fault
    world.converse(*PLAIN)

    score(world, fake)

    (tokens,) = world.rows("SELECT sum(prompt_tokens) AS sum FROM usage_logs")
    assert right(world)
    assert tokens["sum"] == fake.prompt_tokens


def test_a_busy_provider_is_asked_by_a_later_try(world: Scoring, fake: FakeChat) -> None:
    fake.inject(Canned(429, {}, {"Retry-After": "3"}))
    world.converse(*PLAIN)

    with pytest.raises(Transient) as caught:
        score(world, fake)
    before = stored(world)
    score(world, fake)

    assert (caught.value.retry_after_s, before) == (3.0, {})
    assert right(world)
    assert {judge for _, judge in stored(world).values()} == {MODEL}
