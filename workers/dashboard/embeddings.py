"""/v1/embeddings in OpenAI's own shape, for every model that an agent's knowledge may have."""

import base64
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from db import search
from workers.answering import Borrow
from workers.config import LOCAL, Config
from workers.dashboard.api import Handler, answer_json
from workers.dashboard.asking import Fields, Refused

if TYPE_CHECKING:
    import tiktoken

    from pipelines.gateways.embedder import Embedder, Vectors

KNOWN = frozenset(("input", "model", "encoding_format", "dimensions", "user"))
INPUTS_MAX = 2_048
INPUT_CHARS_MAX = 1_000_000
# What OpenAI takes in one request.
TOKENS_MAX = 300_000
MODEL_CHARS_MAX = 200
# It was made before models could be asked for fewer dimensions.
FIXED_MODEL = "text-embedding-ada-002"


def handler(
    config: Config, borrow: Borrow, embedder_for: Callable[[str | None], "Embedder"]
) -> Handler:
    return partial(embed, config, borrow, embedder_for)


def embed(
    config: Config,
    borrow: Borrow,
    embedder_for: Callable[[str | None], "Embedder"],
    body: dict[str, Any],
) -> Response:
    """Vectors as `match_knowledge_chunks` takes them: as many dimensions as are stored."""
    from pipelines.knowledge.tokens import encoding_for

    fields = Fields(body, status=400)
    fields.allow_only(KNOWN)
    model = fields.text("model", chars_max=MODEL_CHARS_MAX)
    form = fields.choice("encoding_format", ("float", "base64"))
    check_model(model, config, borrow)
    embedder = embedder_for(model)
    encoding = encoding_for(embedder.model)
    texts = read_input(fields, encoding)
    counts = [len(encoding.encode_ordinary(text)) for text in texts]
    check_count(fields, sum(counts))
    vectors, billed = embed_all(embedder, texts, counts)
    vectors = shorten(vectors, fields, model)
    return answer_json(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": write(vector, form)}
                for index, vector in enumerate(vectors)
            ],
            "model": model,
            "usage": {
                "prompt_tokens": billed or sum(counts),
                "total_tokens": billed or sum(counts),
            },
        }
    )


def check_model(model: str, config: Config, borrow: Borrow) -> None:
    """Known are the local one, the configured one, and those of agents."""
    from pipelines.gateways.local_embedder import LOCAL_MODEL

    if model in (LOCAL, LOCAL_MODEL, config.embedding_model):
        return
    with borrow() as conn:
        if search.is_model_used(conn, model):
            return
    raise Refused(
        404,
        f"no agent uses the model {model}; the configured one is {config.embedding_model}",
        code="model_not_found",
        param="model",
    )


def read_input(fields: Fields, encoding: "tiktoken.Encoding") -> list[str]:
    """One text or several, each as a string or as its tokens."""
    given = fields.get("input")
    if isinstance(given, str) or is_tokens(given):
        given = [given]
    if not isinstance(given, list) or not 1 <= len(given) <= INPUTS_MAX:
        raise fields.refuse("input", f"must be a text or a list of 1 to {INPUTS_MAX:,} texts")
    return [read_text(fields, each, encoding) for each in given]


def is_tokens(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, int) and not isinstance(each, bool) for each in value)
    )


def read_text(fields: Fields, given: object, encoding: "tiktoken.Encoding") -> str:
    if is_tokens(given):
        assert isinstance(given, list)
        if not all(0 <= token < encoding.n_vocab for token in given):
            raise fields.refuse("input", f"holds a token that {encoding.name} does not have")
        try:
            given = encoding.decode(given)
        except KeyError:
            raise fields.refuse("input", f"holds a token {encoding.name} does not have") from None
    return Fields({"input": given}, status=400).text("input", chars_max=INPUT_CHARS_MAX)


def check_count(fields: Fields, tokens: int) -> None:
    if tokens > TOKENS_MAX:
        raise fields.refuse("input", f"has {tokens:,} tokens in all, limit {TOKENS_MAX:,}")


def embed_all(
    embedder: "Embedder", texts: Sequence[str], counts: Sequence[int]
) -> tuple["Vectors", int]:
    """The vectors in order, and the tokens that were billed for them."""
    import numpy as np

    from pipelines.gateways.embedder import pack

    sizes = [len(text.encode()) for text in texts]
    parts = [
        embedder.embed(texts[batch.start : batch.stop])
        for batch in pack(counts, sizes, embedder.limits)
    ]
    return np.concatenate([part.vectors for part in parts]), sum(part.tokens for part in parts)


def shorten(vectors: "Vectors", fields: Fields, model: str) -> "Vectors":
    """The first `dimensions` numbers of each, at unit length again."""
    import numpy as np

    stored = vectors.shape[1]
    wanted = fields.whole("dimensions", default=stored, low=1, high=stored)
    if wanted == stored:
        return vectors
    if model == FIXED_MODEL:
        raise fields.refuse("dimensions", f"cannot be chosen for {model}")
    cut = vectors[:, :wanted]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    shortened: Vectors = (cut / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return shortened


def write(vector: "Vectors", form: str) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    floats: list[float] = vector.tolist()
    return floats
