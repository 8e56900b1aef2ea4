"""Put back what a chunk loses when it is cut out: the title, the headings, a table's header."""

from bisect import bisect_right

from pipelines.knowledge.document import Chunk, Document

HEADING_CHARS_MAX = 200
PATH_DEPTH_MAX = 6
# A byte is at most one token: with TOKENS_MAX_RANGE this stays below a provider's 8,191.
CONTEXT_BYTES_MAX = 1_100


def embedding_text(chunk: Chunk, document: Document) -> str:
    """Return the text to embed: the chunk below its title, heading path and table header.

    White space at its end is left out: a blank line more must not cost an embedding.

    Measured with the local model: title and path raise span recall on headed articles from 0.881
    to 0.938 (256 tokens) and nDCG@10 of titled abstracts from 0.230 to 0.273.
    """
    above = "\n".join(filter(None, (heading_line(chunk, document), table_header(chunk, document))))
    above = above.encode()[:CONTEXT_BYTES_MAX].decode(errors="ignore")
    text = chunk.text.rstrip()
    return f"{above}\n{text}" if above else text


def heading_line(chunk: Chunk, document: Document) -> str:
    """Return the title and the headings that the chunk stands under, each once, or nothing."""
    path = [heading[:HEADING_CHARS_MAX] for heading in chunk.heading_path[-PATH_DEPTH_MAX:]]
    title = (document.title or "")[:HEADING_CHARS_MAX]
    return " > ".join([title, *path] if title and title not in path else path)


def table_header(chunk: Chunk, document: Document) -> str:
    """Return the header rows of the table that the chunk continues, or nothing."""
    index = bisect_right(document.blocks, chunk.start, key=lambda block: block.start) - 1
    if index < 0:
        return ""
    block = document.blocks[index]
    if block.kind != "table" or not block.header_end <= chunk.start < block.end:
        return ""
    return document.text[block.start : block.header_end].rstrip()
