"""What the sentiment kind stores on a real Postgres, once, whatever happens meanwhile."""

from collections.abc import Iterator
from threading import Timer

import pytest

from db.fence import LeaseLost
from db.pool import Connection, connect
from pipelines import analyze_sentiment
from pipelines.errors import Permanent, Snooze, Transient
from pipelines.sentiment.judgement import EMOTIONS, TEXT_CHARS_MAX
from pipelines.sentiment.local_judge import LocalJudge
from pipelines.sentiment.verdict import LocalOnly
from tests.scoring import MODEL, Scoring, WordJudge, scoring


@pytest.fixture
def world(conn: Connection, database_url: str) -> Iterator[Scoring]:
    with scoring(conn, database_url) as prepared:
        yield prepared


def everything(world: Scoring) -> list[list[dict[str, object]]]:
    """All that scoring writes, with the versions of the rows."""
    return [
        world.rows(f"SELECT ctid::text, t.* FROM {table} AS t ORDER BY id")
        for table in ("messages", "conversations", "sentiment_analysis", "usage_logs")
    ]


def test_it_scores_messages_and_their_conversation(world: Scoring) -> None:
    conversation = world.converse("hello", "this is bad")
    world.say(conversation, "I am sorry", role="assistant")

    result = world.run()

    assert world.scores(conversation) == [0.0, -0.8, None]
    assert world.whole(conversation) == (pytest.approx(-0.66, abs=0.05), "negative")
    (whole,) = world.rows("SELECT * FROM sentiment_analysis WHERE message_id IS NULL")
    (bad,) = world.rows("SELECT * FROM sentiment_analysis WHERE overall_score = -0.8")
    assert whole["emotions"].keys() == bad["emotions"].keys() == set(EMOTIONS)
    assert (bad["judge"], bad["topics"], bad["keywords"], bad["label"], bad["agent_id"]) == (
        MODEL, ["delivery"], ["this is bad"], "negative", world.agent_id,
    )  # fmt: skip
    assert result == {"messages": 2, "conversations": 1, "complete": True}
    assert world.count("worker.sentiment_marks") == 0


def test_running_twice_changes_nothing(world: Scoring) -> None:
    world.converse("hello", "this is bad")
    world.run()
    before = everything(world)

    world.run()
    world.conn.execute(
        "INSERT INTO worker.sentiment_marks (agent_id, conversation_id)"
        " SELECT agent_id, id FROM conversations"
    )
    world.run()

    assert everything(world) == before
    assert len(world.judge.asked) == 1


def test_killed_between_judge_and_store_it_is_finished_by_the_next(world: Scoring) -> None:
    conversation = world.converse("this is bad")

    with world.attempt() as fence:
        world.judge.meanwhile = lambda: world.conn.execute(
            "UPDATE worker.jobs SET attempt = 2 WHERE id = %s", (fence.job_id,)
        )
        with pytest.raises(LeaseLost):
            world.work(fence)
    after_the_kill = (world.scores(conversation), world.count("sentiment_analysis"))
    world.judge.meanwhile = lambda: None
    world.run()

    assert after_the_kill == ([None], 0)
    assert (world.scores(conversation), world.count("sentiment_analysis")) == ([-0.8], 2)
    assert world.count("usage_logs") == 1


def test_two_workers_at_once_store_one_row_each(world: Scoring) -> None:
    conversation = world.converse("this is bad", "good")
    other = WordJudge("acme/judge-2")

    with world.attempt() as first, world.attempt() as second:
        world.judge.meanwhile = lambda: world.work(second, judge=other)
        world.work(first)

    assert world.scores(conversation) == [-0.8, 0.6]
    judges = world.rows("SELECT DISTINCT judge FROM sentiment_analysis")
    assert judges == [{"judge": "acme/judge-2"}]
    assert world.count("sentiment_analysis") == 3


def test_what_a_provider_billed_is_logged_once(world: Scoring) -> None:
    world.converse("hello", "this is bad")

    world.run()

    (log,) = world.rows("SELECT * FROM usage_logs")
    assert (log["user_id"], log["agent_id"], log["usage_type"], log["ai_model"]) == (
        world.user_id, world.agent_id, "api_call", MODEL,
    )  # fmt: skip
    assert (log["prompt_tokens"], log["completion_tokens"], log["total_tokens"]) == (20, 2, 22)


def test_the_oldest_messages_are_judged_first_in_batches(
    world: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyze_sentiment, "BATCH_MESSAGES", 3)
    first, second = world.converse(), world.converse()
    for number in range(4):
        world.say(second, f"{number} second")
        world.say(first, f"{number} first")

    world.run()

    assert world.judge.asked == [
        ["0 second", "0 first", "1 second"],
        ["1 first", "2 second", "2 first"],
        ["3 second", "3 first"],
    ]


def test_a_conversation_is_scored_once_all_its_messages_are(
    world: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first half alone may be a complaint that was answered since."""
    monkeypatch.setattr(analyze_sentiment, "BATCH_MESSAGES", 2)
    conversation = world.converse("this is bad", "bad", "good", "good", "good")

    unfinished = world.run(messages_max=2)
    halfway = (world.scores(conversation), world.whole(conversation))
    world.run()

    assert (unfinished["complete"], halfway) == (
        False,
        ([-0.8, -0.8, None, None, None], (None, None)),
    )
    assert world.whole(conversation)[0] == pytest.approx(0.15, abs=0.15)
    assert world.count("notifications WHERE type = 'negative_conversation'") == 0


def test_an_edited_message_is_scored_again(world: Scoring) -> None:
    conversation = world.converse("this is bad")
    world.run()

    world.conn.execute("UPDATE messages SET content = 'good now'")
    forgotten = (world.scores(conversation), world.count("sentiment_analysis"))
    world.run()

    assert forgotten == ([None], 1)
    assert (world.scores(conversation), world.whole(conversation)) == ([0.6], (0.6, "positive"))
    assert world.count("sentiment_analysis") == 2


def test_a_message_edited_while_it_is_judged_gets_no_score_of_its_old_text(
    world: Scoring,
) -> None:
    conversation = world.converse("this is bad")
    world.judge.meanwhile = lambda: world.conn.execute(
        "UPDATE messages SET content = 'good now' WHERE content <> 'good now'"
    )

    world.run()

    assert world.judge.texts == ["this is bad", "good now"]
    assert world.scores(conversation) == [0.6]
    assert world.count("usage_logs") == 2


def test_a_message_that_came_while_others_were_judged_is_scored_too(world: Scoring) -> None:
    conversation = world.converse("this is bad")
    new = iter(["good"])
    world.judge.meanwhile = lambda: [world.say(conversation, text) for text in new]

    result = world.run()

    assert world.scores(conversation) == [-0.8, 0.6]
    assert result["complete"]


def test_a_message_that_somebody_holds_is_stored_once_it_is_free(world: Scoring) -> None:
    """It is asked about, and paid, once."""
    conversation = world.converse("this is bad", "good")
    with connect(world.url) as other:
        other.execute("SELECT FROM messages WHERE content = 'good' FOR UPDATE")
        free = Timer(0.3, other.rollback)
        free.start()

        result = world.run()
        free.join()

    assert (result["complete"], len(world.judge.asked)) == (True, 1)
    assert world.scores(conversation) == [-0.8, 0.6]


def test_a_message_that_is_held_for_long_is_looked_at_later(
    world: Scoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyze_sentiment, "HELD_S_MAX", 0.0)
    conversation = world.converse("this is bad", "good")

    with connect(world.url) as other:
        other.execute("SELECT FROM messages WHERE content = 'good' FOR UPDATE")
        with pytest.raises(Snooze):
            world.run()

    assert (world.scores(conversation), world.whole(conversation)) == ([-0.8, None], (None, None))


def test_blank_messages_are_neutral_without_asking(world: Scoring) -> None:
    conversation = world.converse("  \n", "")

    world.run()

    assert world.judge.asked == []
    assert (world.scores(conversation), world.whole(conversation)) == ([0, 0], (0, "neutral"))
    (row,) = world.rows("SELECT DISTINCT confidence FROM sentiment_analysis")
    assert row["confidence"] == 0


def test_a_long_message_is_cut_to_its_ends(world: Scoring) -> None:
    conversation = world.converse("a" * 100_000 + " it is bad")

    world.run()

    (text,) = world.judge.texts
    assert (len(text), text[:2], text[-3:]) == (TEXT_CHARS_MAX, "aa", "bad")
    assert world.scores(conversation) == [-0.8]


def test_an_agent_that_wants_no_scores_loses_its_marks(world: Scoring) -> None:
    conversation = world.converse("this is bad")
    world.conn.execute("UPDATE agents SET enable_sentiment_analysis = false")

    result = world.run()

    assert (result["complete"], world.judge.asked) == (True, [])
    assert (world.scores(conversation), world.count("worker.sentiment_marks")) == ([None], 0)


def test_marks_of_an_agent_that_is_gone_go_too(world: Scoring) -> None:
    world.converse("this is bad")
    world.conn.execute("DELETE FROM agents")

    world.run()

    assert world.count("worker.sentiment_marks") == 0


def test_what_was_billed_for_an_agent_that_is_deleted_meanwhile_is_logged(world: Scoring) -> None:
    world.converse("this is bad")
    world.judge.meanwhile = lambda: world.conn.execute("DELETE FROM agents")

    world.run()

    (log,) = world.rows("SELECT user_id, agent_id, prompt_tokens FROM usage_logs")
    assert log == {"user_id": world.user_id, "agent_id": None, "prompt_tokens": 10}


def test_marks_of_a_conversation_that_moved_go_to_its_new_agent(world: Scoring) -> None:
    """A message that was sent while the conversation moved carries the old agent."""
    conversation = world.converse("this is bad")
    other = world.add_agent()
    world.conn.execute("UPDATE conversations SET agent_id = %s", (other,))
    world.conn.execute("UPDATE worker.sentiment_marks SET agent_id = %s", (world.agent_id,))

    world.run()
    before = world.scores(conversation)
    world.agent_id = other
    world.run()

    assert (before, world.scores(conversation)) == ([None], [-0.8])
    agents = world.rows("SELECT DISTINCT agent_id FROM sentiment_analysis")
    assert agents == [{"agent_id": other}]


def test_scores_follow_a_conversation_to_another_agent(world: Scoring) -> None:
    world.converse("this is bad")
    world.run()
    other = world.add_agent()

    world.conn.execute("UPDATE conversations SET agent_id = %s", (other,))

    agents = world.rows("SELECT DISTINCT agent_id FROM sentiment_analysis")
    assert agents == [{"agent_id": other}]


def test_a_moved_message_counts_where_it_went(world: Scoring) -> None:
    here, there = world.converse("this is bad", "good"), world.converse("good")
    world.run()

    world.conn.execute(
        "UPDATE messages SET conversation_id = %s WHERE content = 'this is bad'", (there,)
    )
    world.run()

    assert world.whole(here) == (0.6, "positive")
    assert world.whole(there)[0] == pytest.approx(-0.03, abs=0.05)
    assert len(world.judge.texts) == 3
    (row,) = world.rows("SELECT conversation_id FROM sentiment_analysis WHERE label = 'negative'")
    assert row["conversation_id"] == there


def test_a_message_that_becomes_the_agents_own_loses_its_score(world: Scoring) -> None:
    conversation = world.converse("this is bad", "good")
    world.run()

    world.conn.execute("UPDATE messages SET role = 'assistant' WHERE content = 'this is bad'")
    world.run()

    assert world.scores(conversation) == [None, 0.6]
    assert world.whole(conversation) == (0.6, "positive")


def test_without_a_scored_message_a_conversation_has_no_score(world: Scoring) -> None:
    conversation = world.converse("this is bad")
    world.run()

    world.conn.execute("DELETE FROM messages")
    world.run()

    assert (world.whole(conversation), world.count("sentiment_analysis")) == ((None, None), 0)


def test_a_score_is_no_edit(world: Scoring) -> None:
    conversation = world.converse("this is bad")
    (before,) = world.rows(
        "SELECT m.updated_at, c.updated_at AS at FROM messages m, conversations c"
    )

    world.run()

    (after,) = world.rows(
        "SELECT m.updated_at, c.updated_at AS at FROM messages m, conversations c"
    )
    assert (after, world.scores(conversation)) == (before, [-0.8])
    assert world.count("worker.sentiment_marks") == 0


# When the provider does not answer.


def test_a_busy_provider_is_asked_again_later(world: Scoring) -> None:
    conversation = world.converse("this is bad")
    world.judge.failure = Transient("busy", retry_after_s=7)

    with pytest.raises(Transient, match="busy"):
        world.run()

    assert world.scores(conversation) == [None]
    assert world.count("worker.sentiment_marks") == 1


@pytest.mark.parametrize(
    ("failure", "is_last_try"),
    [
        (Transient("busy"), True),
        (Transient("busy", retry_after_s=3600), False),
        (Permanent("the key was refused"), False),
    ],
)
def test_the_local_judge_takes_over_and_says_so(
    world: Scoring, failure: Transient | Permanent, is_last_try: bool
) -> None:
    conversation = world.converse("this is bad", "good")
    world.judge.failure = failure

    world.run(is_last_try=is_last_try)

    assert world.scores(conversation) == [-0.8, 0.6]
    assert (len(world.judge.asked), len(world.local.asked)) == (1, 1)
    judges = world.rows("SELECT DISTINCT judge FROM sentiment_analysis")
    assert (judges, world.count("usage_logs")) == ([{"judge": "local"}], 0)


def test_what_was_judged_before_a_failure_is_kept_and_paid(world: Scoring) -> None:
    conversation = world.converse("", "this is bad", "good")
    world.judge.failure, world.judge.answers = Transient("busy"), 1

    with pytest.raises(Transient):
        world.run()

    assert world.scores(conversation) == [0, -0.8, None]
    assert (world.whole(conversation), world.count("usage_logs")) == ((None, None), 1)


def test_a_conversation_of_two_judges_names_both(world: Scoring) -> None:
    conversation = world.converse("this is bad", "good")
    world.judge.failure, world.judge.answers = Permanent("no credit is left"), 1

    world.run()

    whole = world.one("SELECT judge FROM sentiment_analysis WHERE message_id IS NULL")
    assert (world.scores(conversation), whole) == ([-0.8, 0.6], f"{MODEL}, local")


def test_the_judge_of_this_package_scores_without_a_key(world: Scoring) -> None:
    conversation = world.converse("My order never arrived and nobody answers me. Terrible service!")

    with world.attempt() as fence:
        world.work(fence, judge=LocalOnly(LocalJudge()))

    assert world.whole(conversation)[1] == "negative"
    assert world.one("SELECT judge FROM sentiment_analysis LIMIT 1") == "local"
