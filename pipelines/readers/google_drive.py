"""Sources of type `google_drive`: folders and files of Google Drive.

What changed is told by Drive's list of changes: the time of a file's last change says nothing of
one that was moved, shared or restored. Where the list names anything that matters, the folders
are listed again, and that listing decides what the source holds.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from db.sources import Source
from pipelines.credentials import Credentials
from pipelines.errors import Permanent
from pipelines.gateways.drive import FOLDER, PARENTS_MAX, SHORTCUT, Drive
from pipelines.gateways.drive_failures import ExpiredError, NotFoundError, UnreadableError
from pipelines.gateways.patience import Patience
from pipelines.knowledge.document import Document
from pipelines.readers.base_url import base_url_of
from pipelines.readers.budget import DOCUMENTS_MAX, Budget
from pipelines.readers.google_drive_files import check_file, load
from pipelines.readers.reading import Part, Reading, Seen, unchanged
from pipelines.readers.tools import ReadingTools
from pipelines.vault import keep_secret

ROOTS_MAX = 1_000
FOLDERS_MAX = 20_000
# Drive allows far more in a minute; this is one account among a customer's others.
RATE_PER_S = 10.0
BURST = 50

_ID = re.compile(r"[A-Za-z0-9_-]{5,200}")
_ADDRESS = re.compile(r"(?:/d/|/folders/|[?&]id=)([A-Za-z0-9_-]{5,200})")

Object = dict[str, Any]


def read(source: Source, tools: ReadingTools, seen: Seen) -> Reading:
    credentials = tools.vault.unlock(tools.db, source.id)
    return keep_secret(credentials, lambda: _read(source, tools, seen, credentials))


def _read(
    source: Source, tools: ReadingTools, seen: Seen, credentials: Credentials | None
) -> Reading:
    if credentials is None:
        raise Permanent("this source has no credentials: sign in to Google for it")
    roots = parse_roots(source)
    base_url = base_url_of(source)
    drive = Drive(
        tools.client_for(base_url),
        credentials,
        Patience(tools.db.check, rate_per_s=RATE_PER_S, burst=BURST),
        base_url=base_url,
    )
    # An account of a person holds what nobody meant for an agent.
    if not roots and not drive.sign_in.is_service_account:
        raise Permanent("this source names nothing to read: settings.folder_ids or file_ids")
    past = follow(drive, seen)
    if past.is_same:
        return unchanged({**seen, "tokens": past.tokens})
    listing = Listing(drive, tools, past)
    listing.walk(roots)
    return Collection(drive, tools, seen, past, listing).read()


def parse_roots(source: Source) -> list[str]:
    """The ids that the settings name, by themselves or in addresses."""
    roots = []
    for name in ("folder_ids", "file_ids", "folder_id", "file_id"):
        given = source.settings.get(name, [])
        for value in given if isinstance(given, list) else [given]:
            roots.append(parse_id(value, f"settings.{name}"))
    if len(roots) > ROOTS_MAX:
        raise Permanent(f"the settings name {len(roots):,} places, the limit is {ROOTS_MAX:,}")
    return list(dict.fromkeys(roots))


def parse_id(value: Any, where: str) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if found := _ADDRESS.search(text):
        return found[1]
    if not _ID.fullmatch(text):
        raise Permanent(f"{where}: {str(value)[:100]!r} is no id or address of Google Drive")
    return text


@dataclass(slots=True)
class Past:
    """What is known of the time since the last reading.

    `changed` holds ids that changed; None where nobody knows. `tokens` are from before anything
    is listed now, by shared drive, "" for the account's own: nothing falls between two readings.
    """

    account: str
    tokens: dict[str, str]
    changed: frozenset[str] | None = None
    is_same: bool = False


def follow(drive: Drive, seen: Seen) -> Past:
    """Ask for the changes since `seen`; a token that expired means listing everything."""
    account = drive.account()
    if not seen.get("tokens") or seen.get("account") != account:
        return Past(account, {"": drive.start_token()})
    tokens: dict[str, str] = {}
    changed: dict[str, Object | None] = {}
    try:
        for drive_id, token in seen["tokens"].items():
            told = drive.changes(token, drive_id or None)
            tokens[drive_id] = told.token
            changed |= told.changed
    except ExpiredError:
        return Past(account, {"": drive.start_token()})
    is_same = seen["complete"] and not any(matters(id, file, seen) for id, file in changed.items())
    return Past(account, tokens, frozenset(changed), is_same=is_same)


def matters(id: str, file: Object | None, seen: Seen) -> bool:
    """Whether a change can have to do with the source: with what it holds, or where it looks."""
    if seen["everything"] or id in seen["files"] or id in seen["places"]:
        return True
    parents = (file or {}).get("parents") or []
    return not set(seen["places"]).isdisjoint(parents)


@dataclass(slots=True)
class Listing:
    """What the source holds now, `files` by id; `places` are the folders and shortcuts on the way.

    `is_complete` is False where a shared drive's changes cannot be followed.
    """

    drive: Drive
    tools: ReadingTools
    past: Past
    files: dict[str, Object] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    is_everything: bool = False
    is_complete: bool = True
    _folders: list[str] = field(default_factory=list)
    _met: set[str] = field(default_factory=set)

    def walk(self, roots: Sequence[str]) -> None:
        if not roots:
            self.is_everything = True
            for file in self.drive.shared():
                self._take(file)
            return
        refused: Permanent | None = None
        for id in roots:
            try:
                self._take_root(self.drive.file(id))
            except NotFoundError as error:
                refused = error
                self.skipped.append(f"{id} is not in Google Drive any more, or not shared")
                self.places.append(id)
        if refused is not None and len(self.skipped) == len(roots):
            raise refused
        while self._folders:
            batch, self._folders = self._folders[:PARENTS_MAX], self._folders[PARENTS_MAX:]
            for file in self.drive.inside(batch):
                self._take(file)

    def _take_root(self, file: Object) -> None:
        if file.get("trashed"):
            self.places.append(str(file["id"]))
            self.skipped.append(f"{file.get('name', file['id'])!r} is in Google Drive's trash")
            return
        drive_id = file.get("driveId")
        if drive_id and drive_id not in self.past.tokens:
            try:
                self.past.tokens[drive_id] = self.drive.start_token(drive_id)
            except (NotFoundError, UnreadableError):
                self.is_complete = False
        self._take(file)

    def _take(self, file: Object) -> None:
        id = str(file["id"])
        if id in self._met or file.get("trashed"):
            return
        self._met.add(id)
        if file.get("driveId") and file["driveId"] not in self.past.tokens:
            self.is_complete = False
        if file.get("mimeType") == FOLDER:
            self._take_folder(id)
        elif file.get("mimeType") == SHORTCUT:
            self._take_shortcut(id, file.get("shortcutDetails") or {})
        else:
            self.files[id] = file
            if len(self.files) > DOCUMENTS_MAX:
                raise Permanent(f"this source has more than {DOCUMENTS_MAX:,} files, the limit")

    def _take_folder(self, id: str) -> None:
        self.places.append(id)
        if len(self.places) > FOLDERS_MAX:
            raise Permanent(f"this source has more than {FOLDERS_MAX:,} folders, the limit")
        # Where everything is listed, the folders' files are in the list already.
        if not self.is_everything:
            self._folders.append(id)

    def _take_shortcut(self, id: str, told: Object) -> None:
        self.places.append(id)
        target = parse_id(told.get("targetId"), "a shortcut")
        try:
            self._take(self.drive.file(target))
        except NotFoundError:
            self.places.append(target)


class Collection:
    """The documents of the files; those that did not change are not loaded again."""

    def __init__(
        self, drive: Drive, tools: ReadingTools, seen: Seen, past: Past, listing: Listing
    ) -> None:
        self._drive = drive
        self._tools = tools
        same_account = seen.get("account") == past.account
        self._before: dict[str, Object] = seen.get("files", {}) if same_account else {}
        self._order = seen.get("order")
        self._past = past
        self._listing = listing
        self._told: dict[str, Object] = {}
        self._skipped = list(listing.skipped)
        self._budget = Budget()

    def read(self) -> Reading:
        parts: list[Part] = []
        for done, file in enumerate(self._listing.files.values(), start=1):
            self._tools.db.check()
            parts += self._take(str(file["id"]), file)
            self._tools.step(done, len(self._listing.files))
        if not parts and not self._skipped and not self._before:
            raise Permanent("there are no files in Google Drive where this source looks")
        order = [part.key for part in parts]
        now = {
            "account": self._past.account,
            "tokens": self._past.tokens,
            "complete": self._listing.is_complete,
            "everything": self._listing.is_everything,
            "files": self._told,
            "places": self._listing.places,
            "order": order,
        }
        if self._order == order and all(part.document is None for part in parts):
            return unchanged(now)
        return Reading(tuple(parts), now, tuple(self._skipped))

    def _take(self, id: str, file: Object) -> Iterator[Part]:
        url = file.get("webViewLink")
        address = url if isinstance(url, str) and url.startswith("https://") else None
        told: Object = {"mark": mark_of(file)}
        self._told[id] = told
        before = self._before.get(id)
        if before is not None and before["mark"] == told["mark"] and not self._may_differ(id, file):
            self._told[id] = before
            if reason := before.get("unread"):
                self._skipped.append(reason)
            yield Part(id, None, address)
            return
        document = self._load(file, told)
        if document is not None:
            self._budget.take(document)
            yield Part(id, document, address)

    def _may_differ(self, id: str, file: Object) -> bool:
        """Google's own documents have no checksum: one that changed somehow is read again."""
        if "md5Checksum" in file:
            return False
        return id in (self._past.changed or ())

    def _load(self, file: Object, told: Object) -> Document | None:
        name = str(file.get("name") or file["id"])
        try:
            check_file(file)
            document = load(self._drive, self._tools.parser, file)
        except NotFoundError:
            del self._told[str(file["id"])]
            return None
        except UnreadableError as error:
            told["unread"] = f"the file {name!r} was left out: {error}"
            self._skipped.append(told["unread"])
            return None
        return document if document.title else replace(document, title=name)


def mark_of(file: Object) -> list[Any]:
    """What differs once the content or the name does."""
    content = file.get("md5Checksum") or file.get("modifiedTime")
    return [content, file.get("name"), file.get("mimeType")]
