"""What is offered while a filter is typed can be read once it is complete."""

import pytest

from workers.dashboard.suggesting import Vocabulary, suggest

KNOWN = Vocabulary(
    kinds=["index_source", "probe"],
    queues=["default", "knowledge"],
    args=["source_id", "sleep_ms"],
    tenants=lambda typed: [("123e4567-e89b-12d3-a456-426614174000", f"Acme {typed}")],
    groups=lambda: [("0123456789ab", "RateLimited: retry after 30 s")],
)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("", "kind:"),
        ("sta", "state:"),
        ("disc", "state:discarded"),
        ("prob", "kind:probe"),
        ("kind:probe state:re", "kind:probe state:retryable"),
        ("state:discarded,ret", "state:discarded,retryable"),
        ("-kind:ind", "-kind:index_source"),
        ("args.so", "args.source_id:"),
        ("age>1", "age>10m"),
        ("tenant:ac", "tenant:123e4567-e89b-12d3-a456-426614174000"),
        ("group:", "group:0123456789ab"),
        ("error:rate", 'error:"RateLimited: retry after"'),
        ("boom", "error:boom"),
    ],
)
def test_a_line_is_completed(line: str, offered: str) -> None:
    assert offered in [each.text for each in suggest(line, KNOWN)]


@pytest.mark.parametrize("line", ['error:"a b', "\u202e", '"' * 99, "::::", "args.", "<>=", "-"])
def test_any_line_is_answered(line: str) -> None:
    suggest(line, KNOWN)
