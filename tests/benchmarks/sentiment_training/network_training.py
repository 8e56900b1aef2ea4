"""Train the convolutional network: word pieces and their first vectors are wordllama's."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pipelines.sentiment.network import WIDTHS, WINDOW_PIECES, Floats
from tests.benchmarks.sentiment_training.corpora import Example

VECTOR_SIZE = 64
FILTERS = 96
HIDDEN = 64
ANSWERS = 9
EPOCHS = 5
BATCH = 128
RATE = 2e-3
# The vectors know words that the corpora lack: they move slower than the rest.
VECTORS_RATE_SHARE = 0.5
LABEL_SMOOTHING = 0.07
EMOTIONS_WEIGHT = 0.3
PIECES_DROPPED = 0.1
PEAKS_DROPPED = 0.5
HIDDEN_DROPPED = 0.3
BUCKETS = (8, 16, 24, 32, 48, 64)

Weights = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    pieces: NDArray[np.int32]
    mask: Floats
    shares: Floats
    emotions: Floats
    has_emotions: Floats
    weight: Floats


def train_network(
    examples: Sequence[Example], pieces: Sequence[Sequence[int]], vectors: Floats, *, seed: int
) -> Weights:
    random = np.random.default_rng(seed)
    first = {name: jnp.array(array) for name, array in start(vectors, random).items()}
    weights, slopes, squares = (
        first,
        jax.tree.map(jnp.zeros_like, first),
        jax.tree.map(jnp.zeros_like, first),
    )
    run = jax.jit(step)
    key, done, total = jax.random.key(seed), 0, EPOCHS * (len(examples) // BATCH)
    for epoch in range(EPOCHS):
        began, losses = time.perf_counter(), []
        for batch in cut_batches(examples, pieces, random):
            done += 1
            rate = RATE * min(1, done / 100) * (1 - done / total) + 1e-5
            key, used = jax.random.split(key)
            weights, slopes, squares, loss = run(
                weights, slopes, squares, done, rate, vars(batch), used, first["pieces"]
            )
            losses.append(float(loss))
        print(
            f"epoch {epoch}: loss {np.mean(losses):.4f}, {time.perf_counter() - began:.0f} s",
            flush=True,
        )
    return {name: np.asarray(array) for name, array in weights.items()}


def start(vectors: Floats, random: np.random.Generator) -> dict[str, Floats]:
    """The first principal parts of the given vectors, and noise."""

    def noise(*shape: int) -> Floats:
        drawn: Floats = (random.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)
        return drawn

    centred = vectors - vectors.mean(axis=0)
    axes = np.linalg.svd(centred[:20_000], full_matrices=False)[2]
    reduced = centred @ axes[:VECTOR_SIZE].T
    seen = FILTERS * len(WIDTHS) + VECTOR_SIZE
    return {
        "pieces": (reduced / reduced.std() * 0.5).astype(np.float32),
        **{f"filter_{width}": noise(width * VECTOR_SIZE, FILTERS) for width in WIDTHS},
        "filter_bias": np.zeros(FILTERS * len(WIDTHS), np.float32),
        "hidden": noise(seen, HIDDEN),
        "hidden_bias": np.zeros(HIDDEN, np.float32),
        "output": noise(HIDDEN, ANSWERS),
        "output_bias": np.zeros(ANSWERS, np.float32),
    }


def cut_batches(
    examples: Sequence[Example], pieces: Sequence[Sequence[int]], random: np.random.Generator
) -> Iterator[Batch]:
    """Texts of nearly the same length together, so that little is padded."""
    lengths = np.array([min(len(each), WINDOW_PIECES) for each in pieces])
    order = np.argsort(lengths + random.random(len(lengths)) * 6)
    starts = np.arange(0, len(order) - BATCH + 1, BATCH)
    random.shuffle(starts)
    for begin in starts:
        chosen = order[begin : begin + BATCH]
        yield make_batch([examples[i] for i in chosen], [pieces[i] for i in chosen])


def make_batch(examples: list[Example], pieces: list[Sequence[int]]) -> Batch:
    longest = max(min(len(each), WINDOW_PIECES) for each in pieces)
    length = next(bucket for bucket in BUCKETS if longest <= bucket)
    ids = np.zeros((len(pieces), length), np.int32)
    mask = np.zeros((len(pieces), length), np.float32)
    for row, each in enumerate(pieces):
        used = list(each[:length]) or [0]
        ids[row, : len(used)] = used
        mask[row, : len(used)] = 1
    nothing = (0.0,) * (ANSWERS - 3)
    return Batch(
        pieces=ids,
        mask=mask,
        shares=np.array([one.shares for one in examples], np.float32),
        emotions=np.array([one.emotions or nothing for one in examples], np.float32),
        has_emotions=np.array([one.emotions is not None for one in examples], np.float32),
        weight=np.array([one.weight for one in examples], np.float32),
    )


def step(
    weights: Weights,
    slopes: Weights,
    squares: Weights,
    done: int,
    rate: float,
    batch: dict[str, Any],
    key: Any,
    first: Any,
) -> tuple[Weights, Weights, Weights, Any]:
    """One step of Adam (Kingma and Ba, 2015)."""
    loss, found = jax.value_and_grad(measure)(weights, batch, key, first)
    slopes = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, slopes, found)
    squares = jax.tree.map(lambda old, new: 0.999 * old + 0.001 * new**2, squares, found)

    def move(name: str) -> Any:
        slope = slopes[name] / (1 - 0.9**done)
        spread = jnp.sqrt(squares[name] / (1 - 0.999**done)) + 1e-8
        return (
            weights[name] - rate * (VECTORS_RATE_SHARE if name == "pieces" else 1) * slope / spread
        )

    return {name: move(name) for name in weights}, slopes, squares, loss


def measure(weights: Weights, batch: dict[str, Any], key: Any, first: Any) -> Any:
    kept_key, drop_key = jax.random.split(key)
    mask = batch["mask"]
    kept = jax.random.bernoulli(kept_key, 1 - PIECES_DROPPED, mask.shape)
    thinned = mask * jnp.where(mask.sum(1, keepdims=True) > 3, kept, 1)
    mask = jnp.where(thinned.sum(1, keepdims=True) > 0, thinned, mask)
    answers = answer(weights, batch["pieces"], mask, drop_key)
    wanted = batch["shares"] * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / 3
    labels = -(wanted * jax.nn.log_softmax(answers[:, :3])).sum(1)
    emotions = (jnp.logaddexp(0, answers[:, 3:]) - batch["emotions"] * answers[:, 3:]).sum(1)
    drift = ((weights["pieces"] - first) ** 2).sum()
    size = sum(
        (weights[name] ** 2).sum() for name in ("filter_1", "filter_2", "filter_3", "hidden")
    )
    loss = (batch["weight"] * labels).mean()
    return (
        loss
        + EMOTIONS_WEIGHT * (batch["has_emotions"] * emotions).mean()
        + 1e-6 * size
        + 2e-6 * drift
    )


def answer(weights: Weights, pieces: Any, mask: Any, key: Any) -> Any:
    """As pipelines.sentiment.network does it, with parts left out at random."""
    vectors = weights["pieces"][pieces] * mask[..., None]
    shifted = [jnp.pad(vectors, ((0, 0), (0, by), (0, 0)))[:, by:] for by in range(max(WIDTHS))]
    found = [jnp.concatenate(shifted[:width], -1) @ weights[f"filter_{width}"] for width in WIDTHS]
    answers = jnp.concatenate(found, -1) + weights["filter_bias"]
    peaks = jax.nn.relu(jnp.where(mask[..., None] > 0, answers, -1e9).max(1))
    means = vectors.sum(1) / jnp.sqrt(mask.sum(1, keepdims=True)) * 0.5
    seen = drop(jnp.concatenate([peaks, means], -1), PEAKS_DROPPED, key)
    hidden = jax.nn.relu(seen @ weights["hidden"] + weights["hidden_bias"])
    hidden = drop(hidden, HIDDEN_DROPPED, jax.random.fold_in(key, 1))
    return hidden @ weights["output"] + weights["output_bias"]


def drop(values: Any, share: float, key: Any) -> Any:
    return values * jax.random.bernoulli(key, 1 - share, values.shape) / (1 - share)
