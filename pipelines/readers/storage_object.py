"""Sources of type `file` whose file lies in Supabase Storage.

The service key opens every tenant's files, so it is used for those of the source's own tenant
alone: objects whose first folder is the id of the owner or of the agent. All others are asked
for as anybody would, by the address as it stands.
"""

from db.sources import Source
from pipelines.errors import Permanent
from pipelines.gateways.storage import SCHEME, Storage, StoredObject
from pipelines.readers.fetched import digest
from pipelines.readers.reading import Reading, Seen, unchanged, whole
from pipelines.readers.tools import ReadingTools


def find(source: Source, tools: ReadingTools, address: str) -> StoredObject | None:
    """The object to read with the service key; None for what is read from the web."""
    if tools.storage is None:
        if address.startswith(SCHEME):
            raise Permanent(
                "this installation knows no storage: its operator has to set SUPABASE_URL and "
                "SUPABASE_SERVICE_ROLE_KEY"
            )
        return None
    found = tools.storage.find(address)
    if found is None or (found.access in ("public", "sign") and not tools.storage.has_key):
        return None
    if found.belongs_to(source.user_id, source.agent_id):
        return found
    if found.access in ("public", "sign"):
        return None
    raise Permanent(
        f"the file {found.name} of the storage lies outside of your folder: private files are read "
        f"from a folder named by your user id ({source.user_id}) or agent id ({source.agent_id})"
    )


def read(source: Source, tools: ReadingTools, found: StoredObject, seen: Seen) -> Reading:
    blob = _storage(tools).read(found, etag=seen.get("etag"))
    if blob.unchanged:
        return unchanged(seen)
    now = {"etag": blob.etag, "body": digest(blob.body)}
    if now["body"] == seen.get("body"):
        return unchanged(now)
    document = tools.parser.parse(
        blob.body,
        content_type=blob.content_type or source.file_type,
        name=source.file_name or found.name,
    )
    return whole(document, seen=now)


def _storage(tools: ReadingTools) -> Storage:
    assert tools.storage is not None
    return tools.storage
