"""Sources of type `google_drive`, through real indexing, against a server that speaks its API."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httplib2
import pytest
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from psycopg.types.json import Jsonb

from pipelines.errors import Permanent, Transient
from pipelines.gateways import patience
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client
from pipelines.readers import google_drive as reader
from tests.fakes_drive import (
    CLIENT_SECRET,
    FOLDER,
    GOOGLE,
    REFRESH_TOKEN,
    FakeDrive,
    drive,
    failed,
    make_account_key,
)
from tests.fakes_http import Answer
from tests.knowledge import Indexing
from tests.resyncing import resync
from tests.traces import watching

SECRETS = (REFRESH_TOKEN, CLIENT_SECRET, "ya29.never-to-be-seen")
USER = {"refresh_token": REFRESH_TOKEN, "client_id": "app", "client_secret": CLIENT_SECRET}


@pytest.fixture(scope="module")
def account_key() -> tuple[str, str]:
    return make_account_key()


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


def contents(knowledge: Indexing, source_id: UUID) -> list[str]:
    return [chunk["content"] for chunk in knowledge.chunks(source_id)]


def editions(knowledge: Indexing, source_id: UUID) -> dict[str, str]:
    return {chunk["content"]: chunk["edition"] for chunk in knowledge.chunks(source_id)}


def write_docx(text: str) -> bytes:
    """The least that is a Word file."""
    types = (
        '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
        'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-'
        'package.relationships+xml"/><Override PartName="/word/document.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    rels = (
        '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        'relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/'
        'officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
        "</Relationships>"
    )
    body = (
        '<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/'
        f'wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body>'
        "</w:document>"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("[Content_Types].xml", types)
        archive.writestr("_rels/.rels", rels)
        archive.writestr("word/document.xml", body)
    return packed.getvalue()


DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def test_the_server_is_as_strict_as_google_to_its_own_client(server: FakeDrive) -> None:
    document = server.add_google("Doc", "document", {"text/plain": b"hello"})
    plain = server.add("a.txt", "hello")
    server.tokens.add("good")
    endpoint = {"api_endpoint": f"{server.url}/drive/v3/"}

    def client(token: str) -> Any:
        return build("drive", "v3", http=Signed(token), client_options=endpoint)

    api = client("good")
    refusals = []
    for ask in (
        api.files().get_media(fileId=document),
        api.files().export_media(fileId=plain, mimeType="text/plain"),
        api.files().export_media(fileId=document, mimeType="image/gif"),
        api.files().list(q="trashed = false", pageSize=1001),
        api.changes().list(pageToken="what"),
        api.files().get(fileId="nothing"),
        api.about().get(),
        client("bad").files().get(fileId=plain),
    ):
        with pytest.raises(HttpError) as raised:
            ask.execute()
        refusals.append(raised.value.status_code)

    assert api.files().export_media(fileId=document, mimeType="text/plain").execute() == b"hello"
    assert refusals == [403, 403, 400, 400, 400, 404, 400, 401]


class Signed(httplib2.Http):  # type: ignore[misc]
    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def request(self, uri: str, method: str = "GET", **more: Any) -> Any:
        more["headers"] = {**(more.get("headers") or {}), "authorization": f"Bearer {self._token}"}
        return super().request(uri, method, **more)


def test_folders_are_read_with_all_that_is_inside(knowledge: Indexing, server: FakeDrive) -> None:
    server.page_size = 2
    top = server.add_folder("top")
    inner = server.add_folder("inner", parent=top)
    for number in range(5):
        server.add(f"file {number}.txt", f"text {number}", parent=inner if number % 2 else top)
    server.add("elsewhere.txt", "not asked for", parent="other")
    source_id = insert(
        knowledge, server, folder_ids=[f"https://drive.google.com/drive/folders/{top}"]
    )

    knowledge.run()

    assert sorted(contents(knowledge, source_id)) == [f"text {n}" for n in range(5)]
    document = knowledge.chunks(source_id)[0]["metadata"]["document"]
    assert document["title"] == "file 0.txt"
    assert document["url"].startswith("https://drive.google.com/file/d/")


def test_google_documents_are_exported(knowledge: Indexing, server: FakeDrive) -> None:
    top = server.add_folder("top")
    server.add_google("Doc", "document", {DOCX: write_docx("in the document")}, parent=top)
    server.add_google("Sheet", "spreadsheet", {"text/csv": b"Plan,Price\nBasic,5"}, parent=top)
    server.add_google("Slides", "presentation", {"text/plain": b"on the slide"}, parent=top)
    source_id = insert(knowledge, server, folder_ids=[top])

    knowledge.run()

    doc, sheet, slides = contents(knowledge, source_id)
    assert doc == "in the document"
    assert "| Basic | 5 |" in sheet
    assert slides == "on the slide"


def test_a_document_too_large_to_export_is_read_as_text(
    knowledge: Indexing, server: FakeDrive
) -> None:
    exports = {DOCX: b"x" * 10_000_001, "text/plain": b"its words"}
    id = server.add_google("Big", "document", exports)
    source_id = insert(knowledge, server, file_ids=[id])

    knowledge.run()

    assert contents(knowledge, source_id) == ["its words"]


def test_what_cannot_be_read_is_told_and_the_rest_serves(
    knowledge: Indexing, server: FakeDrive
) -> None:
    top = server.add_folder("top")
    server.add("good.txt", "text", parent=top)
    server.add("photo.png", b"\x89PNG", mime="image/png", parent=top)
    server.add_google("Drawing", "drawing", {}, parent=top)
    server.add_google("Huge", "spreadsheet", {f"{DOCX}": b""}, parent=top)
    server.add("locked.pdf", b"%PDF", parent=top, capabilities={"canDownload": False})
    server.add("broken.pdf", b"%PDF-1.7 nothing", mime="application/pdf", parent=top)
    server.add("vast.bin", b"", parent=top)
    server.files[list(server.files)[-1]]["size"] = "60000000"
    source_id = insert(knowledge, server, folder_ids=[top])

    report = knowledge.run()

    told = "\n".join(report.skipped)
    assert contents(knowledge, source_id) == ["text"]
    assert len(report.skipped) == 6
    for sentence in (
        "'photo.png' was left out: files of type image hold no text",
        "'Drawing' was left out: Google's drawing files hold no text",
        "'Huge' was left out: Google does not give it in this form",
        "'locked.pdf' was left out: its owner does not allow downloading it",
        "'broken.pdf' was left out:",
        "'vast.bin' was left out: it is 60,000,000 bytes, the limit is 50,000,000",
    ):
        assert sentence in told


def test_shortcuts_lead_to_files_and_folders_without_going_in_circles(
    knowledge: Indexing, server: FakeDrive
) -> None:
    top = server.add_folder("top")
    target = server.add("target.txt", "the target", parent="other")
    folder = server.add_folder("far", parent="other")
    server.add("in far.txt", "in the far folder", parent=folder)
    for name, id, mime in (("a", target, "text/plain"), ("b", folder, FOLDER), ("c", top, FOLDER)):
        details = {"targetId": id, "targetMimeType": mime}
        server.add(name, mime=f"{GOOGLE}shortcut", parent=top, shortcutDetails=details)
    source_id = insert(knowledge, server, folder_ids=[top])

    knowledge.run()

    assert sorted(contents(knowledge, source_id)) == ["in the far folder", "the target"]


def test_shared_drives_are_read_and_followed(knowledge: Indexing, server: FakeDrive) -> None:
    top = server.add_folder("top", driveId="drive-1")
    id = server.add("a.txt", "first", parent=top, driveId="drive-1")
    source_id = insert(knowledge, server, folder_ids=[top])
    knowledge.run()
    before = contents(knowledge, source_id)

    server.rewrite(id, "second")
    resync(knowledge, source_id)

    assert (before, contents(knowledge, source_id)) == (["first"], ["second"])
    assert server.asked("'driveId': 'drive-1'") >= 2


def test_a_service_account_reads_what_is_shared_with_it(
    knowledge: Indexing, server: FakeDrive, account_key: tuple[str, str]
) -> None:
    private, server.public_key = account_key
    server.add("a.txt", "shared text")
    source_id = knowledge.insert("google_drive", settings=Jsonb({"base_url": server.url}))
    knowledge.set_credentials(
        source_id,
        type="service_account",
        client_email="bot@project.iam.gserviceaccount.com",
        private_key=private,
        private_key_id="1",
        token_uri=f"{server.url}/token",
    )

    with watching() as traces:
        knowledge.run()

    assert contents(knowledge, source_id) == ["shared text"]
    assert traces.places(knowledge.conn, private.splitlines()[1]) == []
    assert [call.path for call in server.calls].count("/token") == 1


def test_a_person_has_to_name_what_to_read(knowledge: Indexing, server: FakeDrive) -> None:
    server.add("private.txt", "private")
    insert(knowledge, server)

    with pytest.raises(Permanent, match=r"folder_ids or file_ids"):
        knowledge.run()


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

    assert contents(knowledge, source_id) == ["stays"]


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

    assert sorted(contents(knowledge, source_id)) == ["is back", "stays"]


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

    assert contents(knowledge, source_id) == ["text"]
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

    assert contents(knowledge, source_id) == ["text"]


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
        (failed(429, "rateLimitExceeded", "x", {"Retry-After": "900"}), Transient, "busy"),
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
