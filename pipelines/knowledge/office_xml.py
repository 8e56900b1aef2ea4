"""XML of Office files and books: parsed without entities, without network, within limits.

lxml reads the parts directly, a block at a time. Of a document.xml of 6.2 MB, python-docx makes one
tree before its first paragraph (76 MB, 0.9 s), mammoth takes 183 MB and 7.1 s; this takes 36 MB
and 0.5 s, and every limit is ours.
"""

from collections.abc import Iterable, Iterator

from lxml import etree

from pipelines.errors import Permanent

# The XML of one paragraph, table or row, which is held as a tree.
BLOCK_BYTES_MAX = 24_000_000
# What libxml2 itself allows.
DEPTH_MAX = 256
TEXT_CHARS_MAX = 10_000_000

_OPTIONS = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


def parse_xml(body: bytes, *, label: str) -> etree._Element:
    """Parse a part whole; raises Permanent when it is damaged or declares entities."""
    _refuse_entities(body, label)
    try:
        root = etree.fromstring(body, etree.XMLParser(**_OPTIONS))
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _explain(error, label) from error
    _check_type(root, label)
    return root


def iterate_blocks(
    chunks: Iterable[bytes], *, tags: Iterable[str], within: Iterable[str], label: str
) -> Iterator[etree._Element]:
    """Yield the elements called `tags` whose parents are called `within`, names without
    namespaces, one after the other; each is emptied when the next is asked for.
    """
    parents = frozenset(within)
    wanted = [f"{{*}}{tag}" for tag in tags]
    parser = etree.XMLPullParser(events=("end",), tag=wanted, **_OPTIONS)
    pending, is_first = 0, True
    for chunk in chunks:
        if is_first:
            _refuse_entities(chunk, label)
            is_first = False
        _feed(parser, chunk, label)
        pending += len(chunk)
        for _, element in parser.read_events():
            parent = element.getparent()
            if parent is not None and local_name(parent) in parents:
                _check_type(element, label)
                pending = 0
                yield element
                _forget(element, parent)
        if pending > BLOCK_BYTES_MAX:
            raise Permanent(
                f"{label} is too large: one paragraph, table or row is of more than "
                f"{BLOCK_BYTES_MAX:,} bytes of XML (the limit)"
            )
    _close(parser, label)


def local_name(element: etree._Element) -> str:
    """The element's name without its namespace; empty for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def get_attribute(element: etree._Element, name: str) -> str | None:
    """An attribute by its name alone: strict and transitional files differ in namespaces."""
    if name in element.attrib:
        return str(element.attrib[name])
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return None


def find_child(element: etree._Element, *names: str) -> etree._Element | None:
    """Follow child names downward; None where one is missing."""
    for name in names:
        found = next(element.iterchildren(f"{{*}}{name}"), None)
        if found is None:
            return None
        element = found
    return element


def choose_version(alternatives: etree._Element) -> etree._Element:
    """One of several versions of the same content, the newest first."""
    return next(alternatives.iterchildren("{*}Choice", "{*}Fallback"), alternatives)


def _feed(parser: etree.XMLPullParser, chunk: bytes, label: str) -> None:
    try:
        parser.feed(chunk)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _explain(error, label) from error


def _close(parser: etree.XMLPullParser, label: str) -> None:
    try:
        parser.close()
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _explain(error, label) from error


def _forget(element: etree._Element, parent: etree._Element) -> None:
    # Only what lies behind the parser is dropped: it may still be writing the element's tail.
    element.clear(keep_tail=True)
    while element.getprevious() is not None:
        del parent[0]


def _refuse_entities(beginning: bytes, label: str) -> None:
    if b"<!ENTITY" in beginning.replace(b"\0", b""):
        raise Permanent(f"{label} declares XML entities, which are not read: it may be an attack")


def _check_type(element: etree._Element, label: str) -> None:
    declared = element.getroottree().docinfo.internalDTD
    if declared is not None and next(declared.iterentities(), None) is not None:
        raise Permanent(f"{label} declares XML entities, which are not read: it may be an attack")


def _explain(error: Exception, label: str) -> Permanent:
    """What the parser's complaint means; raises MemoryError where it could not get on."""
    text = str(error).lower()
    if isinstance(error, etree.XMLSyntaxError) and error.code == etree.ErrorTypes.ERR_NO_MEMORY:
        raise MemoryError from error
    if "depth" in text:
        return Permanent(f"{label} is nested too deeply: more than {DEPTH_MAX} levels (the limit)")
    if "entit" in text or "amplification" in text:
        return Permanent(f"{label} declares XML entities, which are not read: it may be an attack")
    if "too long" in text or "limit" in text:
        return Permanent(
            f"{label} holds a text or a name of more than {TEXT_CHARS_MAX:,} characters (the limit)"
        )
    return Permanent(f"{label} is damaged: its XML cannot be read")
