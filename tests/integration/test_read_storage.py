"""Sources of type `file` in Supabase Storage: private files of their own tenant, and no others."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from pipelines.errors import Permanent, Transient
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client
from pipelines.gateways.storage import Storage
from tests.fakes_http import Answer, Call, serve
from tests.fakes_storage import SERVICE_KEY, FakeStorage, storage
from tests.knowledge import Indexing
from tests.resyncing import resync
from tests.traces import watching


@pytest.fixture
def server() -> Iterator[FakeStorage]:
    with storage() as served:
        yield served


@pytest.fixture
def owner(knowledge: Indexing, server: FakeStorage) -> UUID:
    """The agent's owner, where the installation knows the storage."""
    knowledge.storage = Storage(server.url, SERVICE_KEY)
    found = knowledge.row("SELECT user_id FROM public.agents WHERE id = %s", knowledge.agent_id)
    return UUID(str(found["user_id"]))


def insert(knowledge: Indexing, address: str, **fields: Any) -> UUID:
    return knowledge.insert("file", file_url=address, **fields)


@pytest.mark.parametrize("access", ["storage", "authenticated/", "public/", "sign/", ""])
@pytest.mark.parametrize("folder", ["owner", "agent"])
def test_private_files_of_the_tenant_are_read_with_the_service_key(
    knowledge: Indexing, server: FakeStorage, owner: UUID, access: str, folder: str
) -> None:
    path = f"files/{owner if folder == 'owner' else knowledge.agent_id}/Über uns.txt"
    server.put(path, "private text")
    quoted = path.replace(" ", "%20").replace("Ü", "%C3%9C")
    address = f"{server.url}/storage/v1/object/{access}{quoted}"
    source_id = insert(knowledge, f"storage://{path}" if access == "storage" else address)

    with watching() as traces:
        knowledge.run()

    assert knowledge.contents(source_id) == ["private text"]
    assert traces.places(knowledge.conn, SERVICE_KEY) == []


def test_another_tenants_private_file_is_refused_without_a_request(
    knowledge: Indexing, server: FakeStorage, owner: UUID
) -> None:
    path = f"files/{uuid4()}/theirs.txt"
    server.put(path, "their text")
    insert(knowledge, f"storage://{path}")

    with pytest.raises(Permanent, match="lies outside of your folder"):
        knowledge.run()

    assert server.calls == []


@pytest.mark.parametrize(
    "trick",
    [
        "{owner}/../{other}/theirs.txt",
        "{owner}/%2e%2e/{other}/theirs.txt",
        "{owner}/%2E./{other}/theirs.txt",
        "{owner}%2f..%2f{other}/theirs.txt",
        "{owner}/..%2f{other}/theirs.txt",
        "{owner}\\..\\{other}/theirs.txt",
        "{owner}/..%5c{other}/theirs.txt",
        "{owner}//{other}/theirs.txt",
        "{owner}/./theirs.txt",
        "../files/{other}/theirs.txt",
        "{owner}/%00/theirs.txt",
        "{owner}/%ff.txt",
        "{owner}/",
        "{owner}",
    ],
)
@pytest.mark.parametrize("form", ["storage://files/", "authenticated"])
def test_no_spelling_leads_out_of_the_folder(
    knowledge: Indexing, server: FakeStorage, owner: UUID, trick: str, form: str
) -> None:
    other = uuid4()
    server.put(f"files/{other}/theirs.txt", "their text")
    path = trick.format(owner=owner, other=other)
    prefix = form if "://" in form else f"{server.url}/storage/v1/object/authenticated/files/"
    insert(knowledge, f"{prefix}{path}")

    with pytest.raises(Permanent):
        knowledge.run()

    assert not any("theirs" in call.path for call in server.calls)


def test_a_public_file_of_anybody_is_read_without_the_key(
    knowledge: Indexing, server: FakeStorage, owner: UUID
) -> None:
    server.public.add("open")
    server.put("open/a.txt", "public text")
    source_id = insert(knowledge, f"{server.url}/storage/v1/object/public/open/a.txt")

    knowledge.run()

    assert knowledge.contents(source_id) == ["public text"]
    assert "authorization" not in server.calls[0].headers


@pytest.mark.parametrize("address", ["{other}/storage/v1/object/authenticated/files/{id}/a.txt"])
def test_the_key_goes_to_no_other_server(
    knowledge: Indexing, server: FakeStorage, owner: UUID, address: str
) -> None:
    calls: list[Call] = []

    def answer(call: Call) -> Answer:
        calls.append(call)
        return Answer(200, b"text", {"Content-Type": "text/plain"})

    with serve(answer) as other:
        insert(knowledge, address.format(other=other, id=owner))
        knowledge.run()

    assert calls
    assert SERVICE_KEY not in str(calls)


@pytest.mark.parametrize(
    "path", ["/rest/v1/user_profiles", "/auth/v1/admin/users", "/storage/v1/bucket"]
)
def test_the_key_goes_to_no_other_service_of_the_project(
    knowledge: Indexing, server: FakeStorage, owner: UUID, path: str
) -> None:
    insert(knowledge, f"{server.url}{path}")

    with pytest.raises(Permanent):
        knowledge.run()

    assert SERVICE_KEY not in str(server.calls)


def test_a_file_that_did_not_change_is_not_sent_again(
    knowledge: Indexing, server: FakeStorage, owner: UUID
) -> None:
    path = f"files/{owner}/a.txt"
    server.put(path, "first")
    source_id = insert(knowledge, f"storage://{path}")
    knowledge.run()

    same = resync(knowledge, source_id)
    server.put(path, "second")
    resync(knowledge, source_id)

    assert same["unchanged"]
    assert "if-none-match" in server.calls[1].headers
    assert knowledge.contents(source_id) == ["second"]


@pytest.mark.parametrize(
    ("status", "failure"), [(401, Permanent), (403, Permanent), (404, Permanent), (500, Transient)]
)
def test_refusals_are_told_and_the_key_is_not(
    knowledge: Indexing, server: FakeStorage, owner: UUID, status: int, failure: type[Exception]
) -> None:
    server.status, server.echo = status, True
    insert(knowledge, f"storage://files/{owner}/a.txt")

    with watching() as traces, pytest.raises(failure):
        knowledge.run()

    assert traces.places(knowledge.conn, SERVICE_KEY) == []


def test_a_storage_on_a_private_address_is_reached_because_the_operator_named_it(
    knowledge: Indexing, server: FakeStorage, owner: UUID
) -> None:
    knowledge.client.close()
    knowledge.client = Client(Egress.parse(""))
    server.put(f"files/{owner}/a.txt", "text")
    source_id = insert(knowledge, f"storage://files/{owner}/a.txt")

    knowledge.run()

    assert knowledge.contents(source_id) == ["text"]


@pytest.mark.parametrize("has_url", [True, False])
def test_without_a_key_the_customer_is_told_whom_to_ask(
    knowledge: Indexing, server: FakeStorage, owner: UUID, has_url: bool
) -> None:
    knowledge.storage = Storage(server.url, None) if has_url else None
    insert(knowledge, f"storage://files/{owner}/a.txt")

    with pytest.raises(Permanent, match="operator has to set"):
        knowledge.run()

    assert server.calls == []


def test_the_name_of_the_file_is_its_last_step(
    knowledge: Indexing, server: FakeStorage, owner: UUID
) -> None:
    assert knowledge.storage is not None
    found = knowledge.storage.find(f"storage://files/{owner}/a%20b.pdf")

    assert found is not None
    assert found.name == "a b.pdf"
    assert replace(found, path=("x",)).belongs_to(owner) is False
