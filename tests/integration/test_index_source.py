"""`index_source` on a real database: what is stored, kept, paid for and refused."""

from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pytest

from db import search
from db.search import Asked
from pipelines import index_source
from pipelines.errors import Permanent, Transient
from pipelines.gateways.local_embedder import LOCAL_MODEL
from pipelines.gateways.openai import OpenAIEmbedder
from pipelines.knowledge.tokens import encoding_for
from tests.fakes import FakeOpenAI, Site, fake_openai, site
from tests.knowledge import Indexing

ADA = "text-embedding-ada-002"


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as served:
        yield served


@pytest.fixture
def openai(knowledge: Indexing) -> Iterator[FakeOpenAI]:
    """The knowledge fixture embeds with OpenAI's model, by a local server."""
    with fake_openai() as fake:
        knowledge.embedder = OpenAIEmbedder(model=ADA, api_key=fake.api_key, base_url=fake.base_url)
        yield fake


def long_text(paragraphs: int, *, marked: str = "") -> str:
    """Paragraphs of about 60 tokens, each different."""
    words = "the agent answers a visitor from what its owner taught it and says so".split()
    return "\n\n".join(
        f"Paragraph {n}{marked if n == paragraphs // 2 else ''}. "
        + " ".join(f"{words[(n * 7 + k * k) % len(words)]} {n + k}" for k in range(20))
        + "."
        for n in range(paragraphs)
    )


def test_a_text_becomes_chunks_with_exact_counts(knowledge: Indexing) -> None:
    text = long_text(60)
    source_id = knowledge.insert(content=text)

    knowledge.run()

    stored = knowledge.chunks(source_id)
    count = encoding_for(LOCAL_MODEL).encode_ordinary
    assert "".join(chunk["content"] for chunk in stored) == text
    assert [chunk["chunk_index"] for chunk in stored] == list(range(len(stored)))
    assert all(chunk["tokens"] == len(count(chunk["content"])) for chunk in stored)
    assert {chunk["embedding_model"] for chunk in stored} == {LOCAL_MODEL}
    assert {chunk["dimensions"] for chunk in stored} == {1536}


def test_the_row_tells_what_was_stored(knowledge: Indexing) -> None:
    source_id = knowledge.insert(content=long_text(60))

    knowledge.run()

    row, stored = knowledge.source(source_id), knowledge.chunks(source_id)
    assert (row["status"], row["error_message"]) == ("completed", None)
    assert row["chunks_count"] == len(stored) > 1
    assert row["tokens_count"] == sum(chunk["tokens"] for chunk in stored)
    assert row["progress"]["stage"] == "done"
    assert row["last_synced_at"] is not None


def test_running_twice_changes_nothing(knowledge: Indexing) -> None:
    source_id = knowledge.insert(content=long_text(60))
    knowledge.run()
    before = knowledge.chunks(source_id)

    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'pending'")
    knowledge.run()

    assert knowledge.chunks(source_id) == before


def test_an_edited_paragraph_leaves_most_chunks_as_they_are(knowledge: Indexing) -> None:
    source_id = knowledge.insert(content=long_text(400))
    knowledge.run()
    before = {chunk["id"] for chunk in knowledge.chunks(source_id)}

    knowledge.conn.execute(
        "UPDATE public.knowledge_sources SET content = %s",
        [long_text(400, marked=", edited by hand this morning,")],
    )
    report = knowledge.run()

    after = {chunk["id"] for chunk in knowledge.chunks(source_id)}
    assert len(before) > 40
    assert report.added <= 3
    assert len(before - after) <= 3


def test_chunks_of_a_page_know_their_headings(knowledge: Indexing, web: Site) -> None:
    page = web.page(
        "/",
        "<html><head><title>Shop</title></head><body><nav>Home Blog</nav><main><h1>Shop</h1>"
        "<h2>Returns</h2><p>You may send anything back within thirty days of delivery.</p>"
        "</main><footer>Imprint</footer></body></html>",
    )
    source_id = knowledge.insert("url", url=page)

    knowledge.run()

    (chunk,) = knowledge.chunks(source_id)
    assert "thirty days of delivery" in chunk["content"]
    assert "Returns" in chunk["metadata"]["heading_path"]
    assert "Imprint" not in chunk["content"]


@pytest.mark.parametrize("metadata", ['"text"', "null", '{"document": "text"}'])
def test_chunks_with_foreign_metadata_are_made_anew(knowledge: Indexing, metadata: str) -> None:
    source_id = knowledge.insert(content=long_text(10))
    knowledge.run()
    before = [(row["content"], row["metadata"]) for row in knowledge.chunks(source_id)]
    knowledge.conn.execute("UPDATE public.knowledge_chunks SET metadata = %s", [metadata])

    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'pending'")
    knowledge.run()

    after = [(row["content"], row["metadata"]) for row in knowledge.chunks(source_id)]
    assert after == before


def test_an_embedding_is_logged_with_its_cost(knowledge: Indexing, openai: FakeOpenAI) -> None:
    knowledge.insert(content=long_text(60))

    knowledge.run()

    (row,) = knowledge.usage()
    assert (row["ai_model"], row["total_tokens"]) == (ADA, openai.tokens_billed)
    assert row["total_cost"] == Decimal("0.0000001") * openai.tokens_billed


def test_a_long_wait_for_the_provider_is_told(knowledge: Indexing, openai: FakeOpenAI) -> None:
    source_id = knowledge.insert(content=long_text(10))
    openai.inject("quota")

    with pytest.raises(Transient):
        knowledge.run()

    row = knowledge.source(source_id)
    assert row["status"] == "processing"
    assert "quota is used up" in row["progress"]["note"]
    assert "tried again in 60 minutes" in row["progress"]["note"]


def test_an_unchanged_text_costs_no_embedding(knowledge: Indexing, openai: FakeOpenAI) -> None:
    knowledge.insert(content=long_text(60))
    knowledge.run()
    billed = len(openai.billed)

    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'pending'")
    knowledge.run()

    assert len(openai.billed) == billed > 0


def test_what_was_paid_for_is_not_paid_again_after_a_crash(
    knowledge: Indexing, openai: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    source_id = knowledge.insert(content=long_text(60))
    with monkeypatch.context() as broken:
        broken.setattr(index_source, "store", crash)
        with pytest.raises(ZeroDivisionError):
            knowledge.run()
    billed = list(openai.billed)
    knowledge.conn.execute("UPDATE worker.jobs SET state = 'available'")

    report = knowledge.run()

    assert openai.billed == billed
    assert report.recalled == len(knowledge.chunks(source_id)) == len(billed)
    assert len(knowledge.usage()) == 1


def crash(*arguments: object) -> None:
    raise ZeroDivisionError


def test_a_busy_provider_is_asked_again_later(knowledge: Indexing, openai: FakeOpenAI) -> None:
    source_id = knowledge.insert(content="Some words to embed.")
    openai.limit(requests=0)

    with pytest.raises(Transient):
        knowledge.run()

    (row,) = knowledge.rows("SELECT state FROM worker.jobs")
    assert (row["state"], knowledge.source(source_id)["status"]) == ("retryable", "processing")


def test_vectors_of_two_models_never_meet(knowledge: Indexing, openai: FakeOpenAI) -> None:
    knowledge.insert(content="Returns are free within thirty days.")
    knowledge.run()

    query = np.ones(1536, dtype=np.float32)
    knowledge.conn.execute("UPDATE public.agents SET embedding_model = 'other-model'")

    asked = Asked(knowledge.agent_id, None, query, limit=5, threshold=-1.0)
    assert search.search(knowledge.conn, asked) == []


def test_old_chunks_serve_while_the_new_page_cannot_be_read(knowledge: Indexing, web: Site) -> None:
    page = web.page("/", "<main><h1>Hours</h1><p>We are open from nine to five.</p></main>")
    source_id = knowledge.insert("url", url=page)
    knowledge.run()
    web.page("/", "gone", status=404)
    knowledge.conn.execute("UPDATE public.knowledge_sources SET status = 'pending'")

    with pytest.raises(Permanent):
        knowledge.run()

    row = knowledge.source(source_id)
    assert (row["status"], row["chunks_count"]) == ("failed", 1)
    assert "404" in row["error_message"]
    assert "nine to five" in knowledge.chunks(source_id)[0]["content"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"type": "text", "content": ""}, "empty"),
        ({"type": "text", "content": " \n\t "}, "empty"),
        ({"type": "text"}, "empty"),
        ({"type": "url"}, "`url` is empty"),
        ({"type": "file"}, "`file_url` is empty"),
        ({"type": "url", "url": "ftp://example.com/"}, "http"),
        ({"type": "url", "url": "http://169.254.169.254/latest"}, "169.254.169.254"),
        ({"type": "file", "file_url": "files/../../etc/passwd"}, "not a file of this"),
        ({"type": "file", "file_url": "files/none.pdf"}, "not there any more"),
        ({"type": "notion"}, "no credentials"),
    ],
)
def test_what_cannot_be_read_fails_with_a_reason(
    knowledge: Indexing, fields: dict[str, str], says: str
) -> None:
    source_id = knowledge.insert(**fields)

    with pytest.raises(Permanent):
        knowledge.run()

    row = knowledge.source(source_id)
    assert row["status"] == "failed"
    assert says in row["error_message"]


@pytest.mark.parametrize("settings", ["[]", '"fast"', "7", "true", "null"])
def test_settings_that_are_no_object_are_told_of(knowledge: Indexing, settings: str) -> None:
    source_id = knowledge.insert(content="Some words.")
    knowledge.conn.execute("UPDATE public.knowledge_sources SET settings = %s", [settings])

    with pytest.raises(Permanent):
        knowledge.run()

    assert "`settings` must be an object" in knowledge.source(source_id)["error_message"]


def test_nobody_watches_a_page_being_read_for_a_day(knowledge: Indexing, web: Site) -> None:
    page = web.page("/", "busy", status=429, headers={"Retry-After": "86400"})
    source_id = knowledge.insert("url", url=page)

    with pytest.raises(Permanent):
        knowledge.run()

    row = knowledge.source(source_id)
    assert row["status"] == "failed"
    assert "tried again in 1,440 minutes" in row["error_message"]


def test_a_source_deleted_while_it_is_read_leaves_nothing(knowledge: Indexing) -> None:
    source_id = knowledge.insert(content="Some words.")

    with knowledge.attempt() as fence:
        knowledge.conn.execute("DELETE FROM public.knowledge_sources")
        with pytest.raises(Permanent, match="no longer exists"):
            knowledge.work(fence)

    assert knowledge.chunks(source_id) == []


def test_an_unknown_type_is_refused_when_it_is_inserted(knowledge: Indexing) -> None:
    with pytest.raises(Exception, match="knowledge_sources_type_check"):
        knowledge.insert("carrier_pigeon")


def test_a_source_edited_while_it_is_indexed_is_indexed_again(knowledge: Indexing) -> None:
    source_id = knowledge.insert(content="The first edition.")
    with knowledge.attempt() as fence:
        knowledge.conn.execute(
            "UPDATE public.knowledge_sources SET content = 'The second edition.'"
        )
        knowledge.work(fence)

    knowledge.run()

    assert knowledge.source(source_id)["status"] == "completed"
    assert knowledge.chunks(source_id)[0]["content"] == "The second edition."


def test_a_chunk_names_its_title_and_its_place_in_the_document(knowledge: Indexing) -> None:
    text = "# Shop\n\n" + long_text(60)
    source_id = knowledge.insert(content=text, file_type="text/markdown")

    knowledge.run()

    spans = knowledge.rows(
        "SELECT c.content, c.metadata ->> 'title' AS title, p.span_start, p.span_end"
        " FROM worker.chunk_spans AS p JOIN public.knowledge_chunks AS c ON c.id = p.chunk_id"
        " WHERE c.source_id = %s ORDER BY p.span_start",
        source_id,
    )
    assert {span["title"] for span in spans} == {"Shop"}
    assert [span["content"] for span in spans] == [
        text[span["span_start"] : span["span_end"]] for span in spans
    ]


def test_a_longer_paragraph_moves_spans_but_rewrites_no_other_chunk(knowledge: Indexing) -> None:
    source_id = knowledge.insert(content=long_text(60))
    knowledge.run()
    before = {chunk["id"]: chunk["edition"] for chunk in knowledge.chunks(source_id)}

    changed = long_text(60, marked=", with some words more than it had")
    knowledge.conn.execute(
        "UPDATE public.knowledge_sources SET content = %s WHERE id = %s", (changed, source_id)
    )
    knowledge.run()

    after = knowledge.chunks(source_id)
    same = [chunk for chunk in after if before.get(chunk["id"]) == chunk["edition"]]
    assert len(after) - len(same) <= 3
    last = knowledge.row(
        "SELECT max(span_end) AS span_end FROM worker.chunk_spans AS p"
        " JOIN public.knowledge_chunks AS c ON c.id = p.chunk_id WHERE c.source_id = %s",
        source_id,
    )
    assert last["span_end"] == len(changed)
