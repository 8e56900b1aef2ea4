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

from pipelines.errors import Permanent
from pipelines.gateways import patience
from pipelines.readers import google_drive as reader
from tests.fakes_drive import (
    CLIENT_SECRET,
    FOLDER,
    GOOGLE,
    REFRESH_TOKEN,
    FakeDrive,
    drive,
    make_account_key,
)
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

    assert sorted(knowledge.contents(source_id)) == [f"text {n}" for n in range(5)]
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

    doc, sheet, slides = knowledge.contents(source_id)
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

    assert knowledge.contents(source_id) == ["its words"]


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
    assert knowledge.contents(source_id) == ["text"]
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

    assert sorted(knowledge.contents(source_id)) == ["in the far folder", "the target"]


def test_shared_drives_are_read_and_followed(knowledge: Indexing, server: FakeDrive) -> None:
    top = server.add_folder("top", driveId="drive-1")
    id = server.add("a.txt", "first", parent=top, driveId="drive-1")
    source_id = insert(knowledge, server, folder_ids=[top])
    knowledge.run()
    before = knowledge.contents(source_id)

    server.rewrite(id, "second")
    resync(knowledge, source_id)

    assert (before, knowledge.contents(source_id)) == (["first"], ["second"])
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

    assert knowledge.contents(source_id) == ["shared text"]
    assert traces.places(knowledge.conn, private.splitlines()[1]) == []
    assert [call.path for call in server.calls].count("/token") == 1


def test_a_person_has_to_name_what_to_read(knowledge: Indexing, server: FakeDrive) -> None:
    server.add("private.txt", "private")
    insert(knowledge, server)

    with pytest.raises(Permanent, match=r"folder_ids or file_ids"):
        knowledge.run()
