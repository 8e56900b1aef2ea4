"""The judge's model: one file of arrays in this package, and the pieces that wordllama ships."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipelines.errors import Permanent
from pipelines.sentiment.linear import Linear
from pipelines.sentiment.network import Floats, Network

# How a piece of text becomes numbers is wordllama's; the numbers' vectors are our own.
PIECES_PACKAGE = "wordllama"
PIECES_FILE = Path("tokenizers", "l2_supercat_tokenizer_config.json")
WEIGHTS_FILE = "sentiment.npz"
WEIGHTS_FOLDER = "weights"
VALENCE_STEPS = 100


@dataclass(frozen=True, slots=True)
class Model:
    """`blends`: weights of the signals, a column a label, for English and for other languages."""

    tokenizer: Tokenizer
    network: Network
    labels: Linear
    languages: Linear
    lexicon: Mapping[str, float]
    blends: tuple[Floats, Floats]

    def cut_pieces(self, normalised: Sequence[str]) -> list[list[int]]:
        encodings = self.tokenizer.encode_batch_fast(list(normalised), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]


@cache
def load_model() -> Model:
    arrays = read_arrays(files(__package__).joinpath(WEIGHTS_FOLDER, WEIGHTS_FILE).read_bytes())
    return build_model(arrays)


def read_arrays(packed: bytes) -> dict[str, NDArray[np.generic]]:
    with np.load(BytesIO(packed), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def build_model(arrays: Mapping[str, NDArray[np.generic]]) -> Model:
    words = arrays["lexicon_words"].tobytes().decode().split("\n")
    valences = (arrays["lexicon_valences"].astype(np.float64) / VALENCE_STEPS).tolist()
    return Model(
        tokenizer=load_tokenizer(),
        network=Network.build(arrays),
        labels=Linear.build(arrays, "labels"),
        languages=Linear.build(arrays, "languages"),
        lexicon=dict(zip(words, valences, strict=True)),
        blends=(
            arrays["blend_english"].astype(np.float32),
            arrays["blend_other"].astype(np.float32),
        ),
    )


@cache
def load_tokenizer() -> Tokenizer:
    spec = find_spec(PIECES_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise Permanent(
            f"the local sentiment model is not installed: the package {PIECES_PACKAGE} is missing"
        )
    tokenizer = Tokenizer.from_file(str(Path(spec.submodule_search_locations[0], PIECES_FILE)))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
