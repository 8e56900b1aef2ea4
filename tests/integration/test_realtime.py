"""New rows reach their subscribers: once, only them, through whatever happens to Postgres."""

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Thread
from threading import enumerate as threads
from typing import Any
from uuid import UUID, uuid4

import pytest

import db
from db import agents, conversations, messages, realtime, realtime_hub
from db.pool import Connection, connect
from db.realtime import Change, Subscription
from tests.integration.people import sign_up

PATIENCE_S = 10.0


@dataclass
class Ear:
    """What one subscriber heard."""

    heard: "queue.Queue[Change[Any]]" = field(default_factory=queue.Queue)

    def __call__(self, change: Change[Any]) -> None:
        self.heard.put(change)

    def next(self) -> Any:
        return self.heard.get(timeout=PATIENCE_S).new

    def contents(self, count: int) -> list[str]:
        return [self.next().content for _ in range(count)]


@dataclass
class Chat:
    """An owner's open conversation, and subscriptions to it that end with the test."""

    url: str
    conn: Connection
    owner: UUID
    agent: agents.Agent
    conversation_id: UUID
    open: list[Subscription] = field(default_factory=list)

    def listen(self, callback: Callable[[Change[Any]], object], reader: UUID) -> Subscription:
        self.open.append(
            realtime.subscribe_to_messages(self.url, self.conversation_id, callback, user_id=reader)
        )
        return self.open[-1]

    def say(self, text: str) -> UUID:
        return messages.send(self.conn, self.conversation_id, text)


@pytest.fixture
def chat(conn: Connection, database_url: str) -> Iterator[Chat]:
    owner = sign_up(conn, "owner")
    agent = agents.create(conn, user_id=owner, name="Support", is_published=True)
    conversation_id = conversations.open(conn, agent_id=agent.id)
    prepared = Chat(database_url, conn, owner, agent, conversation_id)
    yield prepared
    for subscription in prepared.open:
        realtime.unsubscribe(subscription)
    wait_until(lambda: not listening_threads())


def test_a_new_message_arrives_as_a_row(chat: Chat) -> None:
    ear = Ear()
    chat.listen(ear, chat.owner)

    message_id = chat.say("hello")

    change = ear.heard.get(timeout=PATIENCE_S)
    assert (change.table, change.event) == ("messages", "INSERT")
    assert (change.new.id, change.new.content, change.new.role) == (message_id, "hello", "user")


def test_an_updated_message_arrives_as_it_is_now(chat: Chat) -> None:
    ear = Ear()
    message_id = chat.say("hello")
    chat.listen(ear, chat.owner)

    chat.conn.execute("UPDATE public.messages SET feedback_rating = 5 WHERE id = %s", (message_id,))

    change = ear.heard.get(timeout=PATIENCE_S)
    assert (change.table, change.event) == ("messages", "UPDATE")
    assert (change.new.id, change.new.feedback_rating) == (message_id, 5)


def test_many_rows_updated_at_once_arrive_once_each(chat: Chat) -> None:
    ear = Ear()
    insert_many(chat.conn, chat.conversation_id, 250)
    chat.listen(ear, chat.owner)

    chat.conn.execute("UPDATE public.messages SET feedback_rating = 1")

    heard = {ear.next().id for _ in range(250)}
    assert len(heard) == 250


def test_an_update_is_not_told_to_who_may_not_read_the_row(chat: Chat) -> None:
    stranger, owner = Ear(), Ear()
    chat.say("hello")
    chat.listen(stranger, sign_up(chat.conn, "stranger"))
    chat.listen(owner, chat.owner)

    chat.conn.execute("UPDATE public.messages SET feedback_rating = 1")

    assert owner.next().feedback_rating == 1
    assert stranger.heard.empty()


def test_a_new_notification_arrives(chat: Chat) -> None:
    ear = Ear()
    chat.open.append(realtime.subscribe_to_notifications(chat.url, chat.owner, ear))

    conversations.open(chat.conn, agent_id=chat.agent.id, visitor_name="Jane")

    assert ear.next().message == "Jane started a conversation with Support."


def test_a_visitors_message_arrives(chat: Chat) -> None:
    ear = Ear()
    chat.listen(ear, chat.owner)

    with db.acting_as_anon(chat.conn):
        chat.say("from nobody")

    assert ear.contents(1) == ["from nobody"]


def test_who_may_not_read_the_row_hears_nothing(chat: Chat) -> None:
    stranger, owner = Ear(), Ear()
    chat.listen(stranger, sign_up(chat.conn, "stranger"))
    chat.listen(owner, chat.owner)

    chat.say("one")
    chat.say("two")

    # Subscribers are served in order: when the owner has the second, the stranger was asked.
    assert owner.contents(2) == ["one", "two"]
    assert stranger.heard.empty()


def test_messages_of_other_conversations_do_not_arrive(chat: Chat) -> None:
    ear = Ear()
    chat.listen(ear, chat.owner)
    other = conversations.open(chat.conn, agent_id=chat.agent.id)

    messages.send(chat.conn, other, "elsewhere")
    chat.say("here")

    assert ear.contents(1) == ["here"]


def test_what_was_there_before_does_not_arrive(chat: Chat) -> None:
    chat.say("before")
    ear = Ear()
    chat.listen(ear, chat.owner)

    chat.say("after")

    assert ear.contents(1) == ["after"]


def test_a_message_that_is_rolled_back_does_not_arrive(chat: Chat) -> None:
    ear = Ear()
    chat.listen(ear, chat.owner)
    with connect(chat.url) as other:
        messages.send(other, chat.conversation_id, "undone")
        other.rollback()

    chat.say("kept")

    assert ear.contents(1) == ["kept"]


def test_ten_thousand_at_once_arrive_once_each_after_one_notification(chat: Chat) -> None:
    ear = Ear()
    chat.listen(ear, chat.owner)
    with connect(chat.url, autocommit=True) as witness:
        witness.execute("LISTEN row_changes")

        insert_many(chat.conn, chat.conversation_id, 10_000)
        payloads = [n.payload for n in witness.notifies(timeout=1)]

    heard = [ear.next().id for _ in range(10_000)]
    assert len(set(heard)) == 10_000
    assert len(payloads) == 1


def test_nobody_is_notified_of_what_nobody_watches(chat: Chat) -> None:
    chat.listen(Ear(), chat.owner)
    other = conversations.open(chat.conn, agent_id=chat.agent.id)
    with connect(chat.url, autocommit=True) as witness:
        witness.execute("LISTEN row_changes")

        messages.send(chat.conn, other, "unwatched")
        chat.say("watched")
        payloads = [n.payload for n in witness.notifies(timeout=1)]

    assert len(payloads) == 1
    assert str(chat.conversation_id) in payloads[0]


def test_a_notification_stays_far_below_the_limit_of_postgres(chat: Chat) -> None:
    chat.listen(Ear(), chat.owner)
    with connect(chat.url, autocommit=True) as witness:
        witness.execute("LISTEN row_changes")

        insert_many(chat.conn, chat.conversation_id, 20)
        payloads = [n.payload for n in witness.notifies(timeout=1)]

    assert [len(payload) < 2_000 for payload in payloads] == [True]


def test_a_lost_connection_loses_and_repeats_nothing(chat: Chat) -> None:
    ear = Ear()
    chat.listen(ear, chat.owner)
    sent = [f"message {number}" for number in range(30)]

    for number, text in enumerate(sent):
        if number % 10 == 5:
            cut_connection(chat.conn)
        chat.say(text)
    heard = ear.contents(30)
    chat.say("last")

    assert sorted(heard) == sorted(sent)
    assert ear.contents(1) == ["last"]


def test_an_emptied_table_of_listeners_is_filled_again(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_hub, "RENEW_S", 0.1)
    ear = Ear()
    chat.listen(ear, chat.owner)
    chat.conn.execute("TRUNCATE private.listeners")

    chat.say("unnoticed")

    assert ear.contents(1) == ["unnoticed"]
    wait_until(lambda: listener_count(chat.conn) == 1)


def test_a_writer_who_began_before_the_subscription_is_heard(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_hub, "RENEW_S", 0.1)
    ear = Ear()
    with connect(chat.url) as early:
        messages.send(early, chat.conversation_id, "early")
        chat.listen(ear, chat.owner)

        early.commit()

    assert ear.contents(1) == ["early"]


def test_after_unsubscribing_nothing_arrives_and_nobody_is_registered(chat: Chat) -> None:
    ended, still = Ear(), Ear()
    subscription = chat.listen(ended, chat.owner)
    chat.listen(still, chat.owner)

    realtime.unsubscribe(subscription)
    chat.say("after")

    assert still.contents(1) == ["after"]
    assert ended.heard.empty()
    realtime.unsubscribe(chat.open[-1])
    wait_until(lambda: listener_count(chat.conn) == 0)
    wait_until(lambda: not listening_threads())


def test_a_subscriber_may_end_itself_within_a_call(chat: Chat) -> None:
    ear = Ear()

    def once(change: Change[Any]) -> None:
        ear(change)
        realtime.unsubscribe(chat.open[0])

    chat.listen(once, chat.owner)
    still = Ear()
    chat.listen(still, chat.owner)

    chat.say("one")
    chat.say("two")

    assert still.contents(2) == ["one", "two"]
    assert ear.contents(1) == ["one"]
    assert ear.heard.empty()


def test_a_failing_subscriber_does_not_silence_the_others(chat: Chat) -> None:
    def fail(change: Change[Any]) -> None:
        raise RuntimeError("mine")

    ear = Ear()
    chat.listen(fail, chat.owner)
    chat.listen(ear, chat.owner)

    chat.say("one")
    chat.say("two")

    assert ear.contents(2) == ["one", "two"]


def test_all_subscriptions_of_a_process_share_one_connection(chat: Chat) -> None:
    for _ in range(5):
        chat.listen(Ear(), chat.owner)

    found = chat.conn.execute(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name = 'avivro realtime' AND datname = current_database()"
    ).fetchone()

    assert found == (1,)


@pytest.mark.parametrize("change", [{"exp": 1}, {"role": "anon"}, {"sub": "not an id"}])
def test_claims_that_do_not_hold_hear_nothing_and_are_let_go(
    chat: Chat, change: dict[str, Any]
) -> None:
    ear, owner = Ear(), Ear()
    claims = {"sub": str(chat.owner), "role": "authenticated", **change}
    chat.open.append(
        realtime.subscribe_to_messages(chat.url, chat.conversation_id, ear, claims=claims)
    )
    chat.listen(owner, chat.owner)

    chat.say("one")
    chat.say("two")

    assert owner.contents(2) == ["one", "two"]
    assert ear.heard.empty()


def test_a_reader_is_named_once(chat: Chat) -> None:
    with pytest.raises(ValueError, match="either user_id or claims"):
        realtime.subscribe_to_messages(chat.url, chat.conversation_id, Ear())


def test_without_a_database_subscribing_says_so_and_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(realtime, "READY_S", 0.3)

    with pytest.raises(TimeoutError, match="does not answer"):
        realtime.subscribe_to_notifications("postgresql://x:y@127.0.0.1:9/nowhere", uuid4(), Ear())

    wait_until(lambda: not listening_threads())


def insert_many(conn: Connection, conversation_id: UUID, count: int) -> None:
    conn.execute(
        "INSERT INTO public.messages (conversation_id, role, content) "
        "SELECT %s, 'user', 'm' || n FROM generate_series(1, %s) AS n",
        (conversation_id, count),
    )


def cut_connection(conn: Connection) -> None:
    conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'avivro realtime' AND datname = current_database()"
    )


def listener_count(conn: Connection) -> int:
    found = conn.execute("SELECT count(*) FROM private.listeners").fetchone()
    assert found is not None
    return int(found[0])


def listening_threads() -> list[Thread]:
    return [thread for thread in threads() if thread.name == "avivro realtime"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
