"""The splitter beside raw tiktoken and four peers: speed, fill, limits, edits.

The text is drawn by a first-order word model of Python's own documentation, which every
installation carries; Chinese from a handful of common characters. Tools alternate.
"""

import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from itertools import pairwise
from platform import python_version
from pydoc_data.topics import topics
from random import Random

import tiktoken
from chonkie import RecursiveChunker
from langchain_text_splitters import RecursiveCharacterTextSplitter
from llama_index.core.node_parser import SentenceSplitter
from semchunk.semchunk import chunkerify

from pipelines.knowledge.document import Block, BlockKind, Document
from pipelines.knowledge.split import split
from pipelines.knowledge.tokens import load_encoding

ENCODING = load_encoding("cl100k_base")
TEXT_BYTES = 5_000_000
EDITED_BYTES = 1_000_000
TOKENS_MAX = 512
REPETITIONS = 5
EDITS = 15
TARGETS = (128, 256, 512, 800, 1024)
LONG_CHUNKS = 1000
LONG_EDITS = 8
SPEED_SHARE_MIN = 0.5  # Of raw encoding; of a peer it is 1.
HAN = "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后"

Part = tuple[BlockKind, str]
Tool = Callable[[Document], list[str]]


def main() -> None:
    # Langchain asks tiktoken for its encoding by name; this keeps the answer off the network.
    tiktoken.registry.ENCODINGS[ENCODING.name] = ENCODING
    print_versions()
    texts = {
        name: document(list(shape(Random(name), TEXT_BYTES))) for name, shape in SHAPES.items()
    }
    print_speed(texts)
    print_quality(texts)
    print_edits_of_peers()
    print_edits_by_target()


def print_versions() -> None:
    packages = (
        *("tiktoken", "semchunk", "langchain-text-splitters", "chonkie", "llama-index-core"),
        "numpy",
    )
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    print(f"Python {python_version()}, {versions}")
    print(
        f"{ENCODING.name}, chunks of at most {TOKENS_MAX} tokens, no overlap, {TEXT_BYTES:,} bytes"
    )
    print(f"one thread; {REPETITIONS} repetitions; medians (smallest to largest)")


# The tools. Each gets what it takes: ours the blocks, the others the text.


def split_ours(document: Document, known: Sequence[str] = ()) -> list[str]:
    chunks = split(document, encoding=ENCODING, tokens_max=TOKENS_MAX, known=known)
    return [chunk.text for chunk in chunks]


def split_by_semchunk(document: Document) -> list[str]:
    return [str(chunk) for chunk in chunkerify(ENCODING, TOKENS_MAX)(document.text)]


def split_by_langchain(document: Document) -> list[str]:
    splitter = RecursiveCharacterTextSplitter.from_tiktoken_encoder(
        encoding_name=ENCODING.name,
        chunk_size=TOKENS_MAX,
        chunk_overlap=0,
        disallowed_special=(),
    )
    pieces: list[str] = splitter.split_text(document.text)
    return pieces


def split_by_chonkie(document: Document) -> list[str]:
    chunker = RecursiveChunker(tokenizer=ENCODING, chunk_size=TOKENS_MAX)
    return [str(chunk.text) for chunk in chunker.chunk(document.text)]


def split_by_llama_index(document: Document) -> list[str]:
    splitter = SentenceSplitter(
        chunk_size=TOKENS_MAX, chunk_overlap=0, tokenizer=ENCODING.encode_ordinary
    )
    pieces: list[str] = splitter.split_text(document.text)
    return pieces


def encode_only(document: Document) -> list[str]:
    ENCODING.encode_ordinary(document.text)
    return []


PEERS: dict[str, Tool] = {
    "raw encode_ordinary": encode_only,
    "semchunk": split_by_semchunk,
    "langchain from_tiktoken_encoder": split_by_langchain,
    "chonkie RecursiveChunker": split_by_chonkie,
    "llama-index SentenceSplitter": split_by_llama_index,
}
TOOLS: dict[str, Tool] = {"ours": split_ours, **PEERS}


# The texts.


@cache
def followers() -> dict[str, list[str]]:
    """Return for each word of the documentation the words that follow it there."""
    words = re.findall(r"[A-Za-z][A-Za-z'-]*", " ".join(topics.values()))
    found: dict[str, list[str]] = {}
    for word, follower in pairwise(words):
        found.setdefault(word.lower(), []).append(follower)
    return found


def sentence(random: Random) -> str:
    model = followers()
    words = [random.choice(list_of_words())]
    for _ in range(max(3, round(random.gauss(16, 6)))):
        words.append(random.choice(model.get(words[-1].lower()) or list_of_words()))
    commas = {place for place in range(1, len(words) - 1) if random.random() < 0.07}
    text = " ".join(word + "," * (place in commas) for place, word in enumerate(words))
    return text[0].upper() + text[1:] + random.choice("......?!")


@cache
def list_of_words() -> list[str]:
    return list(followers())


def paragraph(random: Random) -> Part:
    return "paragraph", " ".join(sentence(random) for _ in range(random.randint(2, 6)))


def articles(random: Random, size: int) -> Iterator[Part]:
    while size > 0:
        part = paragraph(random)
        size -= len(part[1]) + 2
        yield part


def guides(random: Random, size: int) -> Iterator[Part]:
    """Sections of a manual: a heading, paragraphs, and a list, a table or code."""
    while size > 0:
        heading: Part = ("heading", f"## {sentence(random)[:40]}")
        parts = [heading, paragraph(random), paragraph(random)]
        rows = range(random.randint(3, 12))
        lists: list[Part] = [
            ("list", "\n".join(f"- {sentence(random)}" for _ in rows)),
            ("table", "\n".join(f"| {sentence(random)[:30]} | {row} |" for row in rows)),
            ("code", "\n".join(f"    {random.choice(list_of_words())}()" for _ in rows)),
        ]
        parts.append(random.choice(lists))
        size -= sum(len(text) + 2 for _, text in parts)
        yield from parts


def one_block(random: Random, size: int) -> Iterator[Part]:
    """A plain text file: one block with blank lines in it."""
    yield "paragraph", "\n\n".join(text for _, text in articles(random, size))


def chinese(random: Random, size: int) -> Iterator[Part]:
    while size > 0:
        clauses = ("".join(random.choices(HAN, k=random.randint(4, 16))) for _ in range(30))
        text = "".join(clause + random.choice("，，。") for clause in clauses)
        size -= len(text.encode()) + 2
        yield "paragraph", text


SHAPES: dict[str, Callable[[Random, int], Iterator[Part]]] = {
    "articles": articles,
    "guides": guides,
    "one block": one_block,
    "chinese": chinese,
}


def document(parts: Sequence[Part]) -> Document:
    blocks: list[Block] = []
    start = 0
    path: tuple[str, ...] = ()
    for kind, text in parts:
        path = (text,) if kind == "heading" else path
        blocks.append(Block(kind, start, start + len(text), path, 2 * (kind == "heading")))
        start += len(text) + 2
    return Document("\n\n".join(text for _, text in parts), tuple(blocks))


# The tables.


@dataclass(frozen=True)
class Comparison:
    shape: str
    peer: str
    ratios: Sequence[float]
    speeds: Sequence[float]
    peer_speeds: Sequence[float]

    @property
    def margin(self) -> float:
        least = SPEED_SHARE_MIN if self.peer.startswith("raw") else 1.0
        return statistics.median(self.ratios) / least


def print_speed(texts: dict[str, Document]) -> None:
    """Losses first: the share of the other's speed that ours reaches."""
    print("\nspeed: ours / other")
    found = [comparison for name, text in texts.items() for comparison in compare(name, text)]
    for row in sorted(found, key=lambda row: row.margin):
        verdict = "LOSS" if row.margin < 1 else "ok"
        print(
            f"{verdict:4}  {statistics.median(row.ratios):6.2f}x"
            f" ({min(row.ratios):.2f} to {max(row.ratios):.2f})  {row.peer:32} {row.shape:10}"
            f" {statistics.median(row.speeds):5.1f} against"
            f" {statistics.median(row.peer_speeds):5.1f} MB/s"
        )


def compare(shape: str, text: Document) -> list[Comparison]:
    size = len(text.text.encode()) / 1e6
    split_ours(text)
    speeds: dict[str, list[float]] = {name: [] for name in TOOLS}
    for _ in range(REPETITIONS):
        for name, tool in TOOLS.items():
            begun = time.perf_counter()
            tool(text)
            speeds[name].append(size / (time.perf_counter() - begun))
    ours = speeds["ours"]
    return [
        Comparison(
            shape=shape,
            peer=peer,
            ratios=[mine / theirs for mine, theirs in zip(ours, speeds[peer], strict=True)],
            speeds=ours,
            peer_speeds=speeds[peer],
        )
        for peer in PEERS
    ]


def print_quality(texts: dict[str, Document]) -> None:
    print(f"\nquality: fill is tokens / {TOKENS_MAX}, the last chunk left out")
    for shape, text in texts.items():
        for name, tool in TOOLS.items():
            if chunks := tool(text):
                print(f"{name:32} {shape:10} {describe(chunks, text)}")


def describe(chunks: Sequence[str], text: Document) -> str:
    counts = [len(tokens) for tokens in ENCODING.encode_ordinary_batch(list(chunks))]
    lost = len(text.text) - sum(map(len, chunks))
    return (
        f"{len(chunks):6,} chunks, fill {statistics.mean(counts[:-1]) / TOKENS_MAX:.3f},"
        f" {sum(tokens > TOKENS_MAX for tokens in counts)} over the limit,"
        f" {lost:,} characters lost"
    )


def edit(random: Random, parts: Sequence[Part]) -> list[Part]:
    """Insert, remove or rewrite one paragraph."""
    places = [place for place, (kind, _) in enumerate(parts) if kind == "paragraph"]
    place = random.choice(places)
    kept_from = place + random.randint(0, 1)
    new = [paragraph(random)] if kept_from == place or random.random() < 0.5 else []
    return [*parts[:place], *new, *parts[kept_from:]]


def print_edits_of_peers() -> None:
    print(
        f"\nchunks to embed again after one paragraph was edited ({EDITS} edits): median, largest"
    )
    for shape in ("articles", "guides"):
        parts = list(SHAPES[shape](Random(shape), EDITED_BYTES))
        whole = document(parts)
        known = split_ours(whole)
        tools: dict[str, Tool] = {
            "ours, known chunks given": partial(split_ours, known=known),
            **TOOLS,
        }
        for name, tool in tools.items():
            if old := set(tool(whole)):
                random = Random(1)
                edited = [document(edit(random, parts)) for _ in range(EDITS)]
                counts = [len(set(tool(text)) - old) for text in edited]
                print(f"{name:32} {shape:10} {statistics.median(counts):4.0f} {max(counts):5}")


def print_edits_by_target() -> None:
    print(f"\nours, texts of {LONG_CHUNKS:,} chunks, {LONG_EDITS} edits: median, largest")
    for target in TARGETS:
        parts = list(guides(Random(target), LONG_CHUNKS * target * 4))
        chunks = split(document(parts), encoding=ENCODING, tokens_max=target)
        fill = statistics.mean(chunk.tokens for chunk in chunks) / target
        texts = [chunk.text for chunk in chunks]
        for label, known in (("known chunks given", texts), ("from scratch", [])):
            random = Random(2)
            counts = []
            for _ in range(LONG_EDITS):
                edited = document(edit(random, parts))
                new = split(edited, encoding=ENCODING, tokens_max=target, known=known)
                counts.append(len({chunk.text for chunk in new} - set(texts)))
            print(
                f"{target:5} tokens  {label:18} {statistics.median(counts):4.1f} {max(counts):4}"
                f"   {len(chunks):,} chunks, fill {fill:.3f}"
            )


if __name__ == "__main__":
    main()
