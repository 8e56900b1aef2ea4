"""Google Drive's API through its official client, which sends through the guarded one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import httplib2
from googleapiclient.discovery import build
from googleapiclient.errors import Error as GoogleError
from yarl import URL

from pipelines.credentials import Credentials
from pipelines.errors import Permanent
from pipelines.gateways.adapters import API_BYTES_MAX, Limits, Sender, send
from pipelines.gateways.drive_failures import ExpiredError, UnreadableError, translate
from pipelines.gateways.fetch import FILE_BYTES_MAX
from pipelines.gateways.google_sign_in import SignIn
from pipelines.gateways.http_failures import HttpPermanent
from pipelines.gateways.json_values import clean
from pipelines.gateways.patience import BusyError, Patience

PAGE_SIZE = 1_000
# Folders whose files one question asks for: longer questions are refused.
PARENTS_MAX = 20
LISTINGS_MAX = 1_000
DOWNLOAD_DEADLINE_S = 120.0
FOLDER = "application/vnd.google-apps.folder"
SHORTCUT = "application/vnd.google-apps.shortcut"
FILE_FIELDS = (
    "id,name,mimeType,createdTime,modifiedTime,md5Checksum,size,webViewLink,trashed,driveId,"
    "parents,shortcutDetails(targetId,targetMimeType),capabilities(canDownload)"
)
ALL_DRIVES = {"supportsAllDrives": True, "includeItemsFromAllDrives": True}

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened since a token: ids, and the new state of those that are still there."""

    changed: Mapping[str, Object | None]
    token: str


class Drive:
    """Read-only; pages of results are followed to their end."""

    def __init__(
        self,
        sender: Sender,
        credentials: Credentials,
        patience: Patience,
        *,
        base_url: str | None = None,
    ) -> None:
        self.sign_in = SignIn(sender, credentials, base_url=base_url)
        self._http = GuardedHttp(sender, self.sign_in)
        self._patience = patience
        self._api = build(
            "drive",
            "v3",
            http=self._http,
            static_discovery=True,
            cache_discovery=False,
            client_options={"api_endpoint": endpoint(base_url)} if base_url else None,
        )

    def account(self) -> str:
        """Whose drive it is: what was seen of another one counts for nothing."""
        about = self._ask(lambda: self._api.about().get(fields="user(permissionId)"))
        return str(about.get("user", {}).get("permissionId", ""))

    def file(self, id: str) -> Object:
        return self._ask(
            lambda: self._api.files().get(fileId=id, fields=FILE_FIELDS, supportsAllDrives=True)
        )

    def inside(self, folder_ids: Sequence[str]) -> Iterator[Object]:
        """The files and folders directly in up to PARENTS_MAX folders, oldest first."""
        parents = " or ".join(f"'{id}' in parents" for id in folder_ids)
        return self._files(f"({parents}) and trashed = false")

    def shared(self) -> Iterator[Object]:
        """Everything that the account sees."""
        return self._files("trashed = false")

    def start_token(self, drive_id: str | None = None) -> str:
        """From where on changes will be told."""
        where = {} if drive_id is None else {"driveId": drive_id}
        answer = self._ask(
            lambda: self._api.changes().getStartPageToken(supportsAllDrives=True, **where)
        )
        return _text(answer, "startPageToken")

    def changes(self, token: str, drive_id: str | None = None) -> Changes:
        """Raises ExpiredError for a token that is too old, or another account's."""
        where = {} if drive_id is None else {"driveId": drive_id}
        changed: dict[str, Object | None] = {}
        for _ in range(LISTINGS_MAX):
            answer = self._ask_changes(token, where)
            for change in _list(answer, "changes"):
                file = change.get("file")
                is_gone = change.get("removed") or not isinstance(file, dict)
                changed[str(change.get("fileId"))] = None if is_gone else file
            if "newStartPageToken" in answer:
                return Changes(changed, _text(answer, "newStartPageToken"))
            following = _text(answer, "nextPageToken")
            if following == token:
                raise _circle()
            token = following
        raise ExpiredError("too many changes to follow one by one")

    def _ask_changes(self, token: str, where: Mapping[str, str]) -> Object:
        try:
            return self._ask(
                lambda: self._api.changes().list(
                    pageToken=token,
                    pageSize=PAGE_SIZE,
                    includeRemoved=True,
                    fields="nextPageToken,newStartPageToken,"
                    f"changes(fileId,removed,file({FILE_FIELDS}))",
                    **ALL_DRIVES,
                    **where,
                )
            )
        except Permanent as error:
            # Drive has several ways to say so; where the sign-in is at fault, listing says it too.
            raise ExpiredError(str(error)) from error

    def export(self, id: str, mime: str) -> bytes:
        """A Google document in another format. Raises UnreadableError where there is none."""
        return self._load(lambda: self._api.files().export_media(fileId=id, mimeType=mime))

    def download(self, id: str) -> bytes:
        return self._load(lambda: self._api.files().get_media(fileId=id, supportsAllDrives=True))

    def _load(self, ask: Callable[[], Any]) -> bytes:
        try:
            with self._http.for_files():
                found = self._patience.call(lambda: _execute(ask))
        except HttpPermanent as error:
            if error.failure_class == "size":
                raise UnreadableError(f"it is over {FILE_BYTES_MAX:,} bytes, the limit") from error
            raise
        return found if isinstance(found, bytes) else b""

    def _files(self, question: str) -> Iterator[Object]:
        paging: dict[str, Any] = {}
        for _ in range(LISTINGS_MAX):
            answer = self._ask(
                lambda: self._api.files().list(
                    q=question,
                    pageSize=PAGE_SIZE,
                    orderBy="createdTime",
                    fields=f"nextPageToken,files({FILE_FIELDS})",
                    **ALL_DRIVES,
                    **paging,
                )
            )
            yield from (file for file in _list(answer, "files") if "id" in file)
            following = answer.get("nextPageToken")
            if not following:
                return
            if following == paging.get("pageToken"):
                raise _circle()
            paging["pageToken"] = following
        raise Permanent(f"a folder in Google Drive has more than {LISTINGS_MAX:,} pages, the limit")

    def _ask(self, ask: Callable[[], Any]) -> Object:
        answer = self._patience.call(lambda: _execute(ask))
        if not isinstance(answer, dict):
            raise _malformed()
        return cast(Object, answer)


def endpoint(base_url: str) -> str:
    """Where the API of another server begins: the address may name its path or leave it out."""
    try:
        url = URL(base_url.strip())
        path = url.path.rstrip("/").removesuffix("/drive/v3")
        return f"{url.origin()}{path}/drive/v3/"
    except ValueError as error:
        raise Permanent("settings.base_url is no http or https address") from error


def _execute(ask: Callable[[], Any]) -> Any:
    try:
        return clean(ask().execute(num_retries=0))
    except (GoogleError, ValueError, RecursionError) as error:
        raise _malformed() from error


def _malformed() -> BusyError:
    return BusyError("the server did not answer as Google Drive does")


def _circle() -> Permanent:
    return Permanent("Google Drive's paging runs in a circle: it names the same page twice")


def _list(answer: Object, name: str) -> list[Object]:
    found = answer.get(name, [])
    if not isinstance(found, list):
        raise _malformed()
    return [each for each in found if isinstance(each, dict)]


def _text(answer: Object, name: str) -> str:
    found = answer.get(name)
    if not isinstance(found, str) or not found:
        raise _malformed()
    return found


class GuardedHttp:
    """What the client sends with, in the form of httplib2's Http. Refusals are raised in here:
    the client would log what servers say, and they may say a token.
    """

    def __init__(self, sender: Sender, sign_in: SignIn) -> None:
        self._sender = sender
        self._sign_in = sign_in
        self._limits = Limits(API_BYTES_MAX)

    def for_files(self) -> "_FileLimits":
        """Within the block answers may be as large as files."""
        return _FileLimits(self)

    def use(self, limits: Limits) -> Limits:
        """Set the limits of the next answers; those before."""
        self._limits, before = limits, self._limits
        return before

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> tuple[httplib2.Response, bytes]:
        answer = self._send(uri, method, headers or {}, body)
        if answer.status == 401 and self._sign_in.renew():
            answer = self._send(uri, method, headers or {}, body)
        if not 200 <= answer.status < 300:
            raise translate(answer)
        return httplib2.Response({"status": str(answer.status)}), answer.body

    def _send(
        self, uri: str, method: str, headers: Mapping[str, str], body: bytes | str | None
    ) -> Any:
        signed = {**headers, "authorization": f"Bearer {self._sign_in.token()}"}
        return send(
            self._sender, uri, method=method, headers=signed, body=body, limits=self._limits
        )


class _FileLimits:
    def __init__(self, http: GuardedHttp) -> None:
        self._http = http

    def __enter__(self) -> None:
        self._before = self._http.use(Limits(FILE_BYTES_MAX, DOWNLOAD_DEADLINE_S))

    def __exit__(self, *_: object) -> None:
        self._http.use(self._before)
