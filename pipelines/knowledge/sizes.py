"""How a source's owner wants it cut: `settings.chunking`."""

from typing import Any

from pipelines.errors import Permanent
from pipelines.knowledge.split_sizes import Sizes

# Measured beside 128, 200 and 512 (make bench ARGS=retrieval): smaller chunks rank better by
# meaning, and below 200 the words get too few.
CHUNK_TOKENS_MAX = 256
NAMES = ("tokens_max", "tokens_target", "tokens_overlap")


def sizes_of(settings: dict[str, Any]) -> Sizes:
    """Read {"chunking": {"tokens_max", "tokens_target", "tokens_overlap"}}, each optional or null.

    Raises Permanent for anything else in it.
    """
    asked = settings.get("chunking")
    if asked is None:
        asked = {}
    if not isinstance(asked, dict):
        raise Permanent('`settings.chunking` must be an object such as {"tokens_max": 512}')
    unknown = sorted(asked.keys() - set(NAMES))
    if unknown:
        raise Permanent(
            f"`settings.chunking` knows no {unknown[0]!r}; it may hold {', '.join(NAMES)}"
        )
    asked = {name: value for name, value in asked.items() if value is not None}
    for name, value in asked.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise Permanent(f"`settings.chunking.{name}` must be a whole number, not {value!r}")
    tokens_max = asked.get("tokens_max", max(CHUNK_TOKENS_MAX, asked.get("tokens_target", 0)))
    return Sizes.of(tokens_max, asked.get("tokens_target"), asked.get("tokens_overlap", 0))
