"""Sources of type `file`: on the web, in Supabase Storage, or uploaded to AVIVRO_HOME/files."""

from pathlib import Path

from db.sources import Source
from pipelines.errors import Permanent
from pipelines.gateways.fetch import FILE_BYTES_MAX, fetch_file
from pipelines.readers import storage_object
from pipelines.readers.fetched import has_changed, validators
from pipelines.readers.reading import Reading, Seen, unchanged, whole
from pipelines.readers.tools import ReadingTools

UPLOADED = "files/"


def read(source: Source, tools: ReadingTools, seen: Seen) -> Reading:
    address = (source.file_url or "").strip()
    if not address:
        raise Permanent("this source names no file: its `file_url` is empty")
    if address.startswith(UPLOADED):
        body = read_uploaded(tools.files, address.removeprefix(UPLOADED))
        return whole(
            tools.parser.parse(
                body, content_type=source.file_type, url=None, name=source.file_name or address
            )
        )
    if (stored := storage_object.find(source, tools, address)) is not None:
        return storage_object.read(source, tools, stored, seen)
    page = fetch_file(
        tools.client, address, etag=seen.get("etag"), last_modified=seen.get("last_modified")
    )
    if not has_changed(page, seen):
        return unchanged(validators(page, seen))
    document = tools.parser.parse(
        page.body,
        content_type=page.headers.get("Content-Type") or source.file_type,
        url=page.url,
        name=source.file_name,
    )
    return whole(document, seen=validators(page, seen))


def read_uploaded(folder: Path, name: str) -> bytes:
    """The bytes of `folder/name`; a name that leads out of the folder is refused."""
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise Permanent(f"{UPLOADED}{name} is not a file of this installation")
        size = path.stat().st_size
        if size > FILE_BYTES_MAX:
            raise Permanent(f"{name} is {size:,} bytes, the limit is {FILE_BYTES_MAX:,}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise Permanent(f"the uploaded file {name} is not there any more") from error
