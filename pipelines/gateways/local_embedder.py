"""Embedding without a provider: the model that lies in the installed wordllama wheel."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Tokenizer

from pipelines.errors import Permanent
from pipelines.gateways.embedder import BatchLimits, Embedded, as_stored, sendable
from pipelines.gateways.gate import NO_CLAIMS, OPEN_GATE, Claims, Gate

LOCAL_MODEL = "wordllama-256"
# No provider sets these. They keep a batch's memory below 20 MB, and a cancelled job's wait short.
LOCAL_LIMITS = BatchLimits(inputs_max=512, tokens_max=200_000, input_tokens_max=8_192)

# Of the package we use the two files alone: importing it sets up the root logger, and its own
# loader goes looking on the network for the tokenizer that lies in another of its folders.
PACKAGE = "wordllama"
WEIGHTS = Path("weights", "l2_supercat_256.safetensors")
TOKENIZER = Path("tokenizers", "l2_supercat_tokenizer_config.json")
WEIGHTS_NAME = "embedding.weight"
SLICE_INPUTS = 32


@dataclass(frozen=True, slots=True)
class _Loaded:
    tokenizer: Tokenizer
    weights: NDArray[np.float32]


class LocalEmbedder:
    """Averages a text's token vectors; loads at first use; safe to share between threads.

    `tokens` of what it embeds is 0: nobody bills them.
    """

    model = LOCAL_MODEL
    limits = LOCAL_LIMITS
    gate: Gate = OPEN_GATE
    claims: Claims = NO_CLAIMS

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def embed(self, texts: Sequence[str]) -> Embedded:
        sent = sendable(texts, self.limits)
        loaded = self._load()
        pooled = np.empty((len(sent), loaded.weights.shape[1]), dtype=np.float32)
        for start in range(0, len(sent), SLICE_INPUTS):
            batch = sent[start : start + SLICE_INPUTS]
            encodings = loaded.tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            for row, encoding in enumerate(encodings, start=start):
                pooled[row] = loaded.weights[encoding.ids].mean(axis=0)
        return Embedded(as_stored(pooled), tokens=0)

    def _load(self) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                self._loaded = _load_from(_package_folder())
            return self._loaded


def _package_folder() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise Permanent(
            f"the local embedding model is not installed: the Python package {PACKAGE} is missing"
        )
    return Path(spec.submodule_search_locations[0])


def _load_from(folder: Path) -> _Loaded:
    for file in (folder / TOKENIZER, folder / WEIGHTS):
        if not file.is_file():
            raise Permanent(f"the local embedding model is incomplete: {file} is missing")
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    with safe_open(folder / WEIGHTS, framework="np") as weights:
        return _Loaded(tokenizer, weights.get_tensor(WEIGHTS_NAME).astype(np.float32))
