"""The model in the wheel: same vectors as its own library, no network, threads, similar texts."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import Permanent
from pipelines.gateways import local_embedder
from pipelines.gateways.embedder import EMBEDDING_DIMENSIONS, price_usd
from pipelines.gateways.local_embedder import LOCAL_MODEL, LocalEmbedder

TEXTS = [
    "How do I reset my password?",
    "Click on 'forgot password' to choose a new password.",
    "Our office in Lisbon is closed on public holidays.",
    "x",
    "日本語の文章です。 \U0001f600 \ud800",
    "a long text " * 2_000,
]

# The library looks for its tokenizer in a cache folder, and then on the network.
REFERENCE = """
import json, sys, shutil, importlib.util, pathlib
package = pathlib.Path(importlib.util.find_spec("wordllama").submodule_search_locations[0])
cache = pathlib.Path(sys.argv[1])
shutil.copytree(package / "tokenizers", cache / "tokenizers")
from wordllama import WordLlama
model = WordLlama.load(dim=256, cache_dir=cache, disable_download=True)
print(json.dumps(model.embed(json.load(sys.stdin), norm=True).tolist()))
"""

OFFLINE = """
import sys
def refuse(event, arguments):
    if event.startswith("socket."):
        raise SystemExit(f"touched the network: {event} {arguments}")
sys.addaudithook(refuse)
from pipelines.gateways.local_embedder import LocalEmbedder
assert LocalEmbedder().embed(["hello"]).vectors.shape == (1, 1536)
loaded = {"wordllama", "huggingface_hub", "requests"} & sys.modules.keys()
assert not loaded, loaded
"""


@pytest.fixture(scope="module")
def embedder() -> LocalEmbedder:
    return LocalEmbedder()


def test_similar_texts_are_nearer_than_others(embedder: LocalEmbedder) -> None:
    question, answer, other = embedder.embed(TEXTS[:3]).vectors

    assert question @ answer > 0.5 > question @ other


def test_every_vector_has_unit_length_and_the_stored_dimensions(embedder: LocalEmbedder) -> None:
    embedded = embedder.embed(TEXTS)

    assert embedded.vectors.shape == (len(TEXTS), EMBEDDING_DIMENSIONS)
    assert embedded.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(embedded.vectors, axis=1), 1, atol=1e-6)
    assert not embedded.vectors[:, 256:].any()


def test_a_vector_does_not_depend_on_its_neighbours(embedder: LocalEmbedder) -> None:
    together = embedder.embed(TEXTS).vectors
    alone = np.concatenate([embedder.embed([text]).vectors for text in TEXTS])

    assert np.array_equal(together, alone)


def test_vectors_are_the_librarys_own(embedder: LocalEmbedder, tmp_path: Path) -> None:
    texts = [text for text in TEXTS if text.isprintable()]
    answer = subprocess.run(
        [sys.executable, "-c", REFERENCE, str(tmp_path)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )

    ours = embedder.embed(texts).vectors[:, :256]

    assert np.allclose(ours, json.loads(answer.stdout), atol=1e-5)


def test_it_never_touches_the_network() -> None:
    run = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True)

    assert (run.returncode, run.stderr) == (0, "")


def test_threads_share_one_model() -> None:
    shared = LocalEmbedder()
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(shared.embed(TEXTS).vectors.tobytes()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1


def test_it_costs_nothing(embedder: LocalEmbedder) -> None:
    assert embedder.embed(TEXTS).tokens == 0
    assert price_usd(LOCAL_MODEL, 1_000_000) == 0


def test_an_empty_text_is_refused(embedder: LocalEmbedder) -> None:
    with pytest.raises(Permanent, match="text 1 of 1 is empty"):
        embedder.embed([" "])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_embedder, "PACKAGE", "wordllama_not_there")

    with pytest.raises(Permanent, match="wordllama_not_there is missing"):
        LocalEmbedder().embed(["x"])
