"""What changes in Google Drive, what goes wrong there, and what the customer is told."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from pipelines.errors import Permanent, Transient
from pipelines.gateways import patience
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client
from pipelines.readers import google_drive as reader
from tests.fakes_drive import (
    CLIENT_SECRET,
    REFRESH_TOKEN,
    FakeDrive,
    drive,
    failed,
)
from tests.fakes_http import Answer
from tests.knowledge import Indexing
from tests.resyncing import resync
from tests.traces import watching

SECRETS = (REFRESH_TOKEN, CLIENT_SECRET, "ya29.never-to-be-seen")


USER = {"refresh_token": REFRESH_TOKEN, "client_id": "app", "client_secret": CLIENT_SECRET}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDrive]:
    monkeypatch.setattr(reader, "RATE_PER_S", 1000.0)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.01)
    with drive() as served:
        yield served


def insert(knowledge: Indexing, server: FakeDrive, **settings: Any) -> UUID:
    given = Jsonb({"base_url": server.url, **settings})
    source_id = knowledge.insert("google_drive", settings=given)
    knowledge.set_credentials(source_id, **USER)
    return source_id


def editions(knowledge: Indexing, source_id: UUID) -> dict[str, str]:
    return {chunk["content"]: chunk["edition"] for chunk in knowledge.chunks(source_id)}


def test_nothing_changed_costs_no_listing_and_no_write(
    knowledge: Indexing, server: FakeDrive
) -> None:
    top = server.add_folder("top")
    server.add("a.txt", "text", parent=top)
    source_id = insert(knowledge, server, folder_ids=[top])
    knowledge.run()
    before = knowledge.chunks(source_id)
    server.add("elsewhere.txt", "another", parent="other")
    server.calls.clear()

    done = resync(knowledge, source_id)

    assert done["unchanged"]
    assert [call.path for call in server.calls] == [
        "/token",
        "/drive/v3/about",
        "/drive/v3/changes",
    ]
    assert knowledge.chunks(source_id) == before


def test_of_many_files_the_changed_one_alone_is_loaded(
    knowledge: Indexing, server: FakeDrive
) -> None:
    top = server.add_folder("top")
    ids = [server.add(f"{n}.txt", f"text {n}", parent=top) for n in range(5)]
    source_id = insert(knowledge, server, folder_ids=[top])
    knowledge.run()
    before = editions(knowledge, source_id)
    server.calls.clear()

    server.rewrite(ids[2], "new text")
    done = resync(knowledge, source_id)

    after = editions(knowledge, source_id)
    assert server.asked("'alt': 'media'") == 1
    assert (done["chunks_added"], done["chunks_removed"]) == (1, 1)
    assert after.keys() - before.keys() == {"new text"}
    assert all(after[key] == before[key] for key in after if key in before)


@pytest.mark.parametrize("way", ["trashed", "moved out", "removed", "folder trashed"])
def test_what_is_gone_from_the_folder_is_gone_from_the_answers(
    knowledge: Indexing, server: FakeDrive, way: str
) -> None:
    top = server.add_folder("top")
    inner = server.add_folder("inner", parent=top)
    server.add("stays.txt", "stays", parent=top)
    id = server.add("goes.txt", "goes", parent=inner)
    source_id = insert(knowledge, server, folder_ids=[top])
    knowledge.run()

    match way:
        case "trashed":
            server.change(id, trashed=True)
        case "moved out":
            server.change(id, parents=["other"])
        case "removed":
            server.remove(id)
        case _:
            server.change(inner, trashed=True)
    resync(knowledge, source_id)

    assert knowledge.contents(source_id) == ["stays"]


@pytest.mark.parametrize("way", ["restored", "moved in"])
def test_what_comes_back_with_an_old_time_is_found(
    knowledge: Indexing, server: FakeDrive, way: str
) -> None:
    top = server.add_folder("top")
    server.add("stays.txt", "stays", parent=top)
    is_trashed = way == "restored"
    id = server.add("back.txt", "is back", parent=top if is_trashed else "x", trashed=is_trashed)
    source_id = insert(knowledge, server, folder_ids=[top])
    knowledge.run()

    server.change(id, trashed=False, parents=[top])
    resync(knowledge, source_id)

    assert sorted(knowledge.contents(source_id)) == ["is back", "stays"]


def test_an_expired_page_token_lists_everything_again_and_loads_nothing(
    knowledge: Indexing, server: FakeDrive
) -> None:
    top = server.add_folder("top")
    server.add("a.txt", "text", parent=top)
    source_id = insert(knowledge, server, folder_ids=[top])
    knowledge.run()
    before = knowledge.chunks(source_id)
    server.oldest_token = 99
    server.log += ["x"] * 100
    server.calls.clear()

    done = resync(knowledge, source_id)

    assert done["unchanged"]
    assert server.asked("'alt': 'media'") == 0
    assert knowledge.chunks(source_id) == before


def test_another_account_is_read_anew(knowledge: Indexing, server: FakeDrive) -> None:
    top = server.add_folder("top")
    server.add("a.txt", "text", parent=top)
    source_id = insert(knowledge, server, folder_ids=[top])
    knowledge.run()
    server.calls.clear()

    server.account = "account-2"
    resync(knowledge, source_id)

    assert server.asked("'alt': 'media'") == 1


def test_running_twice_changes_nothing(knowledge: Indexing, server: FakeDrive) -> None:
    id = server.add("a.txt", "text")
    source_id = insert(knowledge, server, file_ids=[id])
    knowledge.run()
    before = knowledge.chunks(source_id)

    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'pending'")
    knowledge.run()

    assert knowledge.chunks(source_id) == before


def test_a_token_that_expires_midway_is_renewed(knowledge: Indexing, server: FakeDrive) -> None:
    top = server.add_folder("top")
    server.add("a.txt", "text", parent=top)

    def expire(call: Any) -> Answer:
        server.tokens.clear()
        return failed(401, "authError", "Invalid Credentials")

    server.mishaps[4] = expire
    source_id = insert(knowledge, server, folder_ids=[top])

    knowledge.run()

    assert knowledge.contents(source_id) == ["text"]
    assert [call.path for call in server.calls].count("/token") == 2


def test_an_access_token_alone_is_used_and_not_renewed(
    knowledge: Indexing, server: FakeDrive
) -> None:
    server.tokens.add("ya29.given")
    id = server.add("a.txt", "text")
    settings = {"base_url": f"{server.url}/drive/v3/", "file_ids": [id]}
    source_id = knowledge.insert("google_drive", settings=Jsonb(settings))
    knowledge.set_credentials(source_id, access_token="ya29.given")
    knowledge.run()

    server.tokens.clear()
    with pytest.raises(Permanent, match="sign in again"):
        resync(knowledge, source_id)

    assert knowledge.contents(source_id) == ["text"]


@pytest.mark.parametrize("secret", ["wrong", REFRESH_TOKEN])
def test_refused_credentials_tell_what_to_do(
    knowledge: Indexing, server: FakeDrive, secret: str
) -> None:
    settings = Jsonb({"base_url": server.url, "file_ids": ["abcdef"]})
    source_id = knowledge.insert("google_drive", settings=settings)
    knowledge.set_credentials(
        source_id, refresh_token=secret, client_id="app", client_secret="wrong-secret"
    )

    with watching() as traces, pytest.raises(Permanent, match="sign in again"):
        knowledge.run()

    assert traces.places(knowledge.conn, secret if len(secret) > 5 else "wrong-secret") == []
    assert traces.places(knowledge.conn, "wrong-secret") == []


@pytest.mark.parametrize(
    ("mishap", "failure", "message"),
    [
        (failed(403, "userRateLimitExceeded", "slow down"), Transient, "busy"),
        (failed(403, "rateLimitExceeded", "slow down"), Transient, "busy"),
        (failed(429, "rateLimitExceeded", "x", {"Retry-After": "300"}), Transient, "busy"),
        (failed(500, "backendError", "x"), Transient, "busy"),
        (failed(403, "accessNotConfigured", "x"), Permanent, "switched off"),
        (failed(403, "insufficientPermissions", "x"), Permanent, "drive.readonly"),
        (failed(400, "invalid", "x"), Permanent, "not give it"),
        (failed(403, "forbidden", "x"), Permanent, "may not read"),
        (Answer(200, b"<html>" + REFRESH_TOKEN.encode()), Transient, "did not answer as"),
        (Answer(200, b"[]"), Transient, "did not answer as"),
        (Answer(200, b"[" * 100_000), Transient, "did not answer as"),
        (Answer(302, b"", {"Location": "http://127.0.0.1:1/"}), Permanent, "refused"),
        (Answer(503, REFRESH_TOKEN.encode()), Transient, "busy"),
    ],
)
def test_every_failure_is_one_of_two_and_shows_no_secret(
    knowledge: Indexing,
    server: FakeDrive,
    mishap: Answer,
    failure: type[Exception],
    message: str,
) -> None:
    id = server.add("a.txt", "text")
    server.mishaps |= dict.fromkeys(range(2, 20), lambda call: mishap)
    insert(knowledge, server, file_ids=[id])

    with watching() as traces, pytest.raises(failure, match=message):
        knowledge.run()

    for secret in SECRETS:
        assert traces.places(knowledge.conn, secret) == []


@pytest.mark.parametrize("place", ["base_url", "token_uri"])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:7f00:1]", "localhost"])
def test_no_address_inside_is_reached(
    knowledge: Indexing, server: FakeDrive, place: str, host: str
) -> None:
    knowledge.client.close()
    knowledge.client = Client(Egress.parse(""))
    address = f"http://{host}:{server.url.rpartition(':')[2]}"
    settings = {"file_ids": ["abcdef"], **({"base_url": address} if place == "base_url" else {})}
    source_id = knowledge.insert("google_drive", settings=Jsonb(settings))
    uri = {"token_uri": f"{address}/token"} if place == "token_uri" else {}
    knowledge.set_credentials(source_id, **USER, **uri)

    with pytest.raises(Permanent, match="off limits"):
        knowledge.run()

    assert server.calls == []


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ({}, "sign in to Google"),
        ({"token": "x"}, "must hold the JSON key"),
        ({"private_key": "no key", "client_email": "a@b"}, "whole JSON file"),
        ({"service_account": "{"}, "must hold the JSON key"),
        ({"refresh_token": "abcdef"}, 'hold no "client_id"'),
    ],
)
def test_credentials_of_another_shape_are_told(
    knowledge: Indexing, server: FakeDrive, credentials: dict[str, Any], message: str
) -> None:
    settings = Jsonb({"base_url": server.url, "file_ids": ["abcdef"]})
    source_id = knowledge.insert("google_drive", settings=settings)
    knowledge.set_credentials(source_id, **credentials)

    with pytest.raises(Permanent, match=message):
        knowledge.run()


def test_a_folder_that_is_not_shared_tells_how_to_share(
    knowledge: Indexing, server: FakeDrive
) -> None:
    insert(knowledge, server, folder_ids=["nobodys-folder"])

    with pytest.raises(Permanent, match="share it with that account"):
        knowledge.run()
