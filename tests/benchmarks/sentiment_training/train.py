"""Make the local judge's model file again: `python -m tests.benchmarks.sentiment_training.train D`.

D is a folder with `tweets-multilingual/` (xlm-t, Apache-2.0) and `goemotions-group/`, `-ekman/`
(GoEmotions, Apache-2.0). Learns from their `train` parts, from our own support messages and from
the words of two lexicons; how much each signal counts is fitted on their `val` and `dev` parts and
on support.dev.tsv. Nothing else is read. Ten minutes on one core.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression

from pipelines.sentiment import model as models
from pipelines.sentiment.language import ENGLISH
from pipelines.sentiment.model import (
    VALENCE_STEPS,
    WEIGHTS_FILE,
    Model,
    build_model,
    load_tokenizer,
)
from pipelines.sentiment.network import Floats
from pipelines.sentiment.signals import read_signals
from pipelines.sentiment.wording import normalise
from tests.benchmarks.sentiment_training.corpora import (
    Example,
    leave_out,
    read_comments,
    read_support,
    read_tweets,
)
from tests.benchmarks.sentiment_training.linear_training import train_labels, train_languages
from tests.benchmarks.sentiment_training.network_training import train_network
from tests.benchmarks.sentiment_training.phrases import draw_support, draw_words, read_lexicon

SAMPLES = Path(__file__).parents[2] / "samples" / "sentiment"
WEIGHTS = Path(models.__file__).parent / models.WEIGHTS_FOLDER
VECTORS = Path("weights", "l2_supercat_256.safetensors")
SEED = 0
FEATURES = 13
BLEND_STRENGTH = 0.3
STEPS = 127


def main() -> None:
    folder = Path(sys.argv[1])
    examples = read_examples(folder)
    arrays = train([*examples, *draw_words()])
    arrays |= {
        f"blend_{name}": np.zeros((FEATURES, 3), np.float32) for name in ("english", "other")
    }
    arrays |= fit_blends(folder, build_model(arrays))
    WEIGHTS.mkdir(exist_ok=True)
    np.savez_compressed(WEIGHTS / WEIGHTS_FILE, **arrays)  # type: ignore[arg-type]
    print(f"{WEIGHTS / WEIGHTS_FILE}: {(WEIGHTS / WEIGHTS_FILE).stat().st_size:,} bytes")


def read_examples(folder: Path) -> list[Example]:
    tweets = [one for each in read_tweets(folder, "train").values() for one in each]
    comments = balance_comments(read_comments(folder, "train"))
    return [*comments, *tweets, *draw_support()]


def balance_comments(examples: list[Example]) -> list[Example]:
    sizes = np.array([one.shares for one in examples]).mean(axis=0)
    scale = ((1 / sizes) / (1 / sizes).mean()) ** 0.7
    return [
        Example(one.text, one.shares, float(np.dot(one.shares, scale)), one.emotions)
        for one in examples
    ]


def train(examples: Sequence[Example]) -> dict[str, NDArray[np.generic]]:
    lexicon, _ = read_lexicon()
    words = [word for word in lexicon if " " not in word]
    valences = [round(lexicon[word] * VALENCE_STEPS) for word in words]
    arrays: dict[str, NDArray[np.generic]] = {
        "lexicon_words": np.frombuffer("\n".join(words).encode(), np.uint8),
        "lexicon_valences": np.array(valences, np.int8),
    }
    for name, (weights, bias) in {
        "labels": train_labels(examples),
        "languages": train_languages(examples),
    }.items():
        scale = np.abs(weights).max(axis=0) / STEPS
        arrays |= {
            f"{name}_weights": np.round(weights / scale).astype(np.int8),
            f"{name}_scale": scale.astype(np.float32),
            f"{name}_bias": bias,
        }
    return arrays | train_pieces(examples)


def train_pieces(examples: Sequence[Example]) -> dict[str, NDArray[np.generic]]:
    tokenizer = load_tokenizer()
    encodings = tokenizer.encode_batch_fast(
        [normalise(one.text) for one in examples], add_special_tokens=False
    )
    pieces = [encoding.ids for encoding in encodings]
    weights = train_network(examples, pieces, read_vectors(), seed=SEED)
    scale = np.abs(weights["pieces"]).max(axis=1) / STEPS
    rows = np.round(weights["pieces"] / np.maximum(scale, 1e-8)[:, None]).astype(np.int8)
    others = {name: each.astype(np.float16) for name, each in weights.items() if name != "pieces"}
    return {"pieces": rows, "scale": scale.astype(np.float16), **others}


def read_vectors() -> Floats:
    spec = find_spec(models.PIECES_PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations
    with safe_open(Path(spec.submodule_search_locations[0], VECTORS), framework="np") as file:
        vectors: Floats = file.get_tensor("embedding.weight").astype(np.float32)
        return vectors


def fit_blends(folder: Path, model: Model) -> dict[str, NDArray[np.generic]]:
    """One logistic regression for English, one for the rest; each set counts the same."""
    train_tweets = [one for each in read_tweets(folder, "train").values() for one in each]
    tweets = {
        language: leave_out(each, train_tweets)
        for language, each in read_tweets(folder, "val").items()
    }
    support = read_support(SAMPLES / "support.dev.tsv")
    english = [one for one in support if one.language == ENGLISH]
    other = [one for one in support if one.language != ENGLISH]
    sets = {
        "english": [tweets.pop(ENGLISH), read_comments(folder, "dev"), english],
        "other": [*tweets.values(), other],
    }
    return {f"blend_{name}": fit_blend(each, model) for name, each in sets.items()}


def fit_blend(sets: Sequence[Sequence[Example]], model: Model) -> Floats:
    features, labels, weights = [], [], []
    for examples in sets:
        signals = read_signals([one.text for one in examples], model)
        counts = np.bincount([one.label for one in examples], minlength=3)
        for one, each in zip(examples, signals, strict=True):
            features.append(each.features)
            labels.append(one.label)
            weights.append(1000 / len(sets) / 3 / counts[one.label])
    fitted = LogisticRegression(C=BLEND_STRENGTH, max_iter=500, fit_intercept=False)
    fitted.fit(features, labels, sample_weight=weights)
    print(np.round(fitted.coef_.T, 2))
    blend: Floats = fitted.coef_.T.astype(np.float32)
    return blend


if __name__ == "__main__":
    main()
