"""Search in Postgres: BM25, vectors, their fusion, filters, neighbours, and whose is whose."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from db import search as searching
from db.embedded import Services
from db.pool import Connection, connect
from db.search import Asked
from db.vectors import Vector, to_text
from tests.conftest import fresh_database
from tests.integration.schema_world import OTHER, OWNER, acting_as, insert, sign_up

K1, B = 1.2, 0.75


@dataclass(frozen=True)
class Shelf:
    """An agent with one source, to put chunks on."""

    conn: Connection
    agent_id: UUID
    source_id: UUID

    def put(self, content: str, **columns: Any) -> UUID:
        chunk_id = uuid4()
        values = {
            "id": chunk_id,
            "agent_id": self.agent_id,
            "source_id": self.source_id,
            "content": content,
            **columns,
        }
        insert(self.conn, "knowledge_chunks", values)
        return chunk_id

    def put_all(self, *contents: str) -> list[UUID]:
        return [self.put(content) for content in contents]

    def words(self, question: str, **narrowed: Any) -> list[str]:
        """The contents that a search by words finds, best first."""
        asked = Asked(self.agent_id, question, None, limit=100, **narrowed)
        return [passage.content for passage in searching.search(self.conn, asked)]


def make_shelf(conn: Connection, user: UUID, *, model: str | None = None) -> Shelf:
    agent_id, source_id = uuid4(), uuid4()
    agent = {"id": agent_id, "user_id": user, "name": "Agent", "embedding_model": model}
    insert(conn, "agents", agent)
    add_source(conn, agent_id, source_id)
    return Shelf(conn, agent_id, source_id)


def add_source(conn: Connection, agent_id: UUID, source_id: UUID) -> None:
    source = {"id": source_id, "agent_id": agent_id, "name": "S", "type": "text", "content": "x"}
    insert(conn, "knowledge_sources", source)


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[Connection]:
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture
def conn(shared: Connection) -> Iterator[Connection]:
    """One database for the module; each test's writes are undone."""
    with shared.transaction(force_rollback=True):
        yield shared


@pytest.fixture
def shelf(conn: Connection) -> Shelf:
    sign_up(conn, OWNER, "owner@example.com")
    return make_shelf(conn, OWNER)


def direction(*weights: float) -> str:
    """A vector that leans to the first axes."""
    return "[" + ",".join(map(str, [*weights, *[0] * (1536 - len(weights))])) + "]"


def vector(*weights: float) -> Vector:
    import numpy as np

    filled = np.zeros(1536, dtype=np.float32)
    filled[: len(weights)] = weights
    return filled


def bm25(question: Sequence[str], documents: Sequence[Sequence[str]]) -> list[float]:
    """Robertson's formula with Lucene's idf, by the book."""
    average = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        counts = Counter(document)
        score = 0.0
        for word in dict.fromkeys(question):
            holding = sum(word in each for each in documents)
            idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            norm = K1 * (1 - B + B * len(document) / average)
            score += idf * counts[word] * (K1 + 1) / (counts[word] + norm)
        scores.append(score)
    return scores


def test_the_score_of_words_is_bm25(shelf: Shelf) -> None:
    texts = [
        "wing wing slipstream",
        "wing pressure heat heat heat flux",
        "pressure",
        "slipstream heat wing wing wing wing wing slab boundary",
    ]
    shelf.put_all(*texts)

    found = shelf.conn.execute(
        "SELECT content, lexical_score FROM public.search_knowledge(%s, 'wing heat', NULL, 10)",
        [shelf.agent_id],
    ).fetchall()

    expected = dict(zip(texts, bm25(["wing", "heat"], [t.split() for t in texts]), strict=True))
    assert dict(found) == pytest.approx({t: s for t, s in expected.items() if s})


@pytest.mark.parametrize(
    ("question", "content"),
    [
        ("wings", "The wing of an aircraft"),
        ("RETURNING my order", "Customers may return what they ordered."),
        ("where is api_key", "Set the API key first"),
        ("foo bar", "see foo.bar/baz"),
        ("error E-1042", "E-1042 means that the tank is empty"),
        ("Rechnungen", "Die Rechnung ist nicht mit der Bestellung verschickt und der Kunde wartet"),
        ("politica de devolucion", "La política de devoluciones es clara y no se cambia para el"),
        ("devolución", "La devolucion es por cuenta de la tienda y no se paga con el"),
        ("ÜBERWEISUNG", "per überweisung"),
        ("GRÖSSE", "Größe"),
        ("Straße", "Hauptstrasse, strasse"),
        ("退货", "我们的退货政策是三十天内全额退款。"),
        ("猫", "黒猫が好きです"),
        ("返品", "ご購入から三十日以内であれば返品できます。"),
        ("환불", "구매 후 30일 이내에 환불받을 수 있습니다."),
        ("คืนสินค้า", "ลูกค้าสามารถคืนสินค้าได้ภายในสามสิบวัน"),
        ("возврат товаров", "Возврат товара возможен в течение тридцати дней"),
        ("счёт", "Счета на оплату"),
        ("سياسة الإرجاع", "سياسة الإرجاع خلال ثلاثين يوما"),
        ("επιστροφές", "Επιστροφή προϊόντων"),
        ("वापसी", "तीस दिनों में वापसी"),
        ("ｆｕｌｌ", "full width"),
    ],
)
def test_a_word_is_found_in_its_other_forms(shelf: Shelf, question: str, content: str) -> None:
    shelf.put_all("something else entirely 其他 อื่นๆ", content)

    assert shelf.words(question) == [content]


@pytest.mark.parametrize(
    "question", ["", "  ", "the of and", "?!", "zebra", "the" * 20_000, "👨‍🍳"]
)
def test_a_question_without_a_known_word_finds_nothing(shelf: Shelf, question: str) -> None:
    shelf.put("The price of a wing and its weight 👩‍👧")

    assert shelf.words(question) == []


@pytest.mark.parametrize(
    "content", ["", "\n", "the", "🙂🙂", "\u0301", "a" * 300_000, "猫" * 9_000]
)
def test_any_text_can_be_stored(shelf: Shelf, content: str) -> None:
    chunk_id = shelf.put(content)

    kept = shelf.conn.execute(
        "SELECT count(*) FROM worker.chunk_terms WHERE chunk_id = %s", [chunk_id]
    ).fetchone()
    assert kept == (1,)


def test_a_word_with_two_forms_counts_once(shelf: Shelf) -> None:
    shelf.put_all("cafés", "tea")
    query = "SELECT lexical_score, matched_words FROM public.search_knowledge(%s, 'cafés')"

    found = shelf.conn.execute(query, [shelf.agent_id]).fetchall()

    (expected, _) = bm25(["cafés"], [["cafés"], ["tea"]])
    assert found == [(pytest.approx(expected), ["cafés"])]


def test_title_and_headings_above_a_chunk_count_as_its_words(shelf: Shelf) -> None:
    above = {"document": {"title": "Shipping guide"}, "heading_path": ["Returns", "Deadlines"]}
    shelf.put("Thirty days.", metadata={"title": "Manual", **above})
    shelf.put("Forty days.", metadata={"heading_path": "not a list"})

    found = [shelf.words(word) for word in ("manuals", "shipping", "return", "deadline")]

    assert found == [["Thirty days."]] * 4


def test_the_words_follow_every_change_of_a_chunk(shelf: Shelf) -> None:
    first, second = shelf.put_all("apples", "pears")
    shelf.conn.execute(
        "UPDATE public.knowledge_chunks SET content = 'plums' WHERE id = %s", [first]
    )
    shelf.conn.execute("DELETE FROM public.knowledge_chunks WHERE id = %s", [second])

    found = [shelf.words(word) for word in ("apples", "pears", "plums")]

    counted = shelf.conn.execute("SELECT chunk_id FROM worker.chunk_terms").fetchall()
    assert (found, counted) == ([[], [], ["plums"]], [(first,)])


def test_a_move_within_the_document_rewrites_no_words(shelf: Shelf) -> None:
    chunk_id = shelf.put("apples")
    versions = "SELECT ctid::text FROM worker.chunk_terms WHERE chunk_id = %s"
    before = shelf.conn.execute(versions, [chunk_id]).fetchone()

    shelf.conn.execute(
        'UPDATE public.knowledge_chunks SET chunk_index = 7, metadata = \'{"kinds": ["table"]}\''
        " WHERE id = %s",
        [chunk_id],
    )

    assert shelf.conn.execute(versions, [chunk_id]).fetchone() == before


def test_an_emptied_table_leaves_no_words(shelf: Shelf) -> None:
    shelf.put_all("apples")

    shelf.conn.execute("TRUNCATE public.knowledge_chunks CASCADE")

    assert shelf.conn.execute("SELECT count(*) FROM worker.chunk_terms").fetchone() == (0,)


def test_only_chunks_of_the_agents_model_count(conn: Connection) -> None:
    sign_up(conn, OWNER, "owner@example.com")
    shelf = make_shelf(conn, OWNER, model="old")
    for model in ("old", "new", None):
        shelf.put(f"apples of {model}", embedding_model=model, embedding=direction(1))

    by_words = shelf.words("apples")
    by_vector = searching.search(conn, Asked(shelf.agent_id, None, vector(1), limit=10))
    narrowed = Asked(shelf.agent_id, None, vector(1), limit=10, source_ids=[shelf.source_id])

    expected = {"apples of old", "apples of None"}
    assert set(by_words) == expected
    assert {passage.content for passage in by_vector} == expected
    assert {passage.content for passage in searching.search(conn, narrowed)} == expected


def test_what_another_model_holds_does_not_change_a_score(conn: Connection) -> None:
    sign_up(conn, OWNER, "owner@example.com")
    shelf = make_shelf(conn, OWNER, model="old")
    shelf.put_all("apples and pears", "plums")
    query = "SELECT lexical_score FROM public.search_knowledge(%s, 'apples')"
    before = conn.execute(query, [shelf.agent_id]).fetchall()

    for number in range(5):
        shelf.put(f"apples {number}", embedding_model="new")

    assert conn.execute(query, [shelf.agent_id]).fetchall() == before


def test_both_lists_are_fused_by_rank(shelf: Shelf) -> None:
    shelf.put("apples")
    shelf.put("fruit", embedding=direction(1, 0.1))
    shelf.put("apples and fruit", embedding=direction(1, 0.2))

    found = searching.search(shelf.conn, Asked(shelf.agent_id, "apple", vector(1), limit=10))

    places = [(each.content, each.vector_rank, each.lexical_rank) for each in found]
    assert places == [("apples and fruit", 2, 2), ("fruit", 1, None), ("apples", None, 1)]
    assert [each.score for each in found] == pytest.approx([2 / 62, 1 / 61, 1 / 61])
    assert found[0].matched_words == ["apple"]
    assert found[0].similarity == pytest.approx(0.98, abs=0.01)


def test_one_list_alone_keeps_its_own_score(shelf: Shelf) -> None:
    shelf.put("apples", embedding=direction(3, 4))

    (by_vector,) = searching.search(shelf.conn, Asked(shelf.agent_id, None, vector(1), limit=1))
    (by_words,) = searching.search(shelf.conn, Asked(shelf.agent_id, "apples", None, limit=1))

    assert (by_vector.score, by_vector.lexical_rank) == (by_vector.similarity, None)
    assert by_vector.score == pytest.approx(0.6)
    assert (by_words.score, by_words.vector_rank) == (by_words.lexical_score, None)


def test_words_weigh_twice_beside_the_local_model(conn: Connection) -> None:
    sign_up(conn, OWNER, "owner@example.com")
    scores = {}
    for model in ("wordllama-256", "text-embedding-3-small"):
        shelf = make_shelf(conn, OWNER, model=model)
        shelf.put("apples")
        (passage,) = searching.search(conn, Asked(shelf.agent_id, "apples", vector(1), limit=1))
        scores[model] = passage.score

    assert scores == {
        "wordllama-256": pytest.approx(2 / 61),
        "text-embedding-3-small": pytest.approx(1 / 61),
    }


@pytest.mark.parametrize("mode", ["words", "vector", "both"])
def test_a_filter_loses_no_row(shelf: Shelf, mode: str) -> None:
    """The wanted ones are the worst by every measure, and among many."""
    shelf.conn.execute(
        "INSERT INTO public.knowledge_chunks (source_id, agent_id, content, embedding, chunk_index)"
        " SELECT %s, %s, 'apples apples ' || n, %s::extensions.vector, n"
        " FROM generate_series(1, 1500) AS n",
        [shelf.source_id, shelf.agent_id, direction(1)],
    )
    other_source = uuid4()
    add_source(shelf.conn, shelf.agent_id, other_source)
    long = "apples " + "pears " * 50
    in_source = shelf.put(long + "a", source_id=other_source, embedding=direction(1, 5))
    in_german = shelf.put(
        long + "b", metadata={"lang": "de", "n": [1]}, embedding=direction(1, 6), chunk_index=9_000
    )
    text = None if mode == "vector" else "apples"
    meaning = None if mode == "words" else vector(1)

    ways: list[dict[str, Any]] = [
        {"source_ids": [other_source]},
        {"filter": {"lang": "de"}},
        {"source_ids": [other_source], "filter": {"lang": "de"}},
        {"source_ids": []},
    ]
    found = [
        [
            passage.chunk_id
            for passage in searching.search(
                shelf.conn, Asked(shelf.agent_id, text, meaning, limit=5, **way)
            )
        ]
        for way in ways
    ]

    assert found == [[in_source], [in_german], [], []]


def test_a_filter_with_many_matches_is_served_from_the_index(shelf: Shelf) -> None:
    shelf.conn.execute("DROP INDEX public.knowledge_chunks_embedding_idx")
    shelf.conn.execute(
        "INSERT INTO public.knowledge_chunks"
        " (source_id, agent_id, content, embedding, chunk_index, metadata)"
        " SELECT %s, %s, n::text, ('[' || n || ',' || 11000 - n || repeat(',0', 1534) || ']')"
        '::extensions.vector, n, \'{"lang": "de"}\' FROM generate_series(1, 10500) AS n',
        [shelf.source_id, shelf.agent_id],
    )

    asked = Asked(shelf.agent_id, None, vector(1), limit=3, filter={"lang": "de"})
    found = [passage.content for passage in searching.search(shelf.conn, asked)]

    assert found == ["10500", "10499", "10498"]


def test_least_similarity_holds_for_the_nearest(shelf: Shelf) -> None:
    shelf.put("near", embedding=direction(1, 0.1))
    shelf.put("far", embedding=direction(0.1, 1))

    asked = Asked(shelf.agent_id, None, vector(1), limit=5, threshold=0.5)

    assert [passage.content for passage in searching.search(shelf.conn, asked)] == ["near"]


def test_neighbours_come_in_the_sources_order(shelf: Shelf) -> None:
    ids = [shelf.put(str(n), chunk_index=n * 3) for n in range(5)]
    add_source(shelf.conn, shelf.agent_id, other := uuid4())
    shelf.put("other source", source_id=other, chunk_index=4)
    shelf.put("other model", embedding_model="new", chunk_index=5)

    found = searching.list_neighbours(shelf.conn, [ids[0], ids[2]], count=2)

    told = {of: [(each.content, each.distance) for each in list_] for of, list_ in found.items()}
    assert told == {
        ids[0]: [("1", 1), ("2", 2)],
        ids[2]: [("0", -2), ("1", -1), ("3", 1), ("4", 2)],
    }


SEARCHES = (
    "SELECT count(*) FROM public.search_knowledge(%(agent)s, 'apples')",
    "SELECT count(*) FROM public.search_knowledge(%(agent)s, NULL, %(vector)s)",
    "SELECT count(*) FROM public.search_knowledge(%(agent)s, 'apples', %(vector)s)",
    "SELECT count(*) FROM public.search_knowledge(%(agent)s, NULL, %(vector)s,"
    " source_ids => ARRAY[%(source)s])",
    "SELECT count(*) FROM public.knowledge_chunk_neighbours(%(chunk)s)",
    "SELECT count(*) FROM private.rank_chunks(%(agent)s, 'apples', NULL, NULL, 10)",
    "SELECT count(*) FROM private.nearest_chunks(%(agent)s, %(vector)s, -1, NULL, '{}', 10)",
)


@pytest.mark.parametrize("query", SEARCHES)
@pytest.mark.parametrize(
    ("role", "user", "sees"),
    [
        ("authenticated", OWNER, True),
        ("authenticated", OTHER, False),
        ("authenticated", None, False),
        ("service_role", None, True),
    ],
)
def test_an_agents_knowledge_is_its_owners(
    shelf: Shelf, query: str, role: str, user: UUID | None, sees: bool
) -> None:
    sign_up(shelf.conn, OTHER, "other@example.com")
    chunk = shelf.put("apples", embedding=direction(1))
    shelf.put("apples too", embedding=direction(1), chunk_index=1)
    values = {
        "agent": shelf.agent_id,
        "source": shelf.source_id,
        "chunk": chunk,
        "vector": direction(1),
    }

    with acting_as(shelf.conn, role, user):
        counted = shelf.conn.execute(query.encode(), values).fetchone()

    assert counted is not None
    assert (counted[0] > 0) == sees


@pytest.mark.parametrize("function", ["search_knowledge", "knowledge_chunk_neighbours"])
def test_visitors_may_not_search(shelf: Shelf, function: str) -> None:
    query = f"SELECT * FROM public.{function}(%s)".encode()

    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        acting_as(shelf.conn, "anon"),
    ):
        shelf.conn.execute(query, [shelf.agent_id])


def test_an_owner_stores_chunks_whose_words_are_found(shelf: Shelf) -> None:
    with acting_as(shelf.conn, "authenticated", OWNER):
        shelf.conn.execute(
            "INSERT INTO public.knowledge_chunks (source_id, agent_id, content, metadata)"
            " VALUES (%s, %s, 'apples', %s)",
            [shelf.source_id, shelf.agent_id, Jsonb({})],
        )
        found = shelf.words("apple")

    assert found == ["apples"]


def test_another_tenants_words_change_no_score(conn: Connection) -> None:
    for user, email in ((OWNER, "owner@example.com"), (OTHER, "other@example.com")):
        sign_up(conn, user, email)
    mine, theirs = make_shelf(conn, OWNER), make_shelf(conn, OTHER)
    mine.put_all("apples", "pears")
    query = "SELECT lexical_score FROM public.search_knowledge(%s, 'apples')"
    before = conn.execute(query, [mine.agent_id]).fetchall()

    theirs.put_all(*(f"apples {n}" for n in range(20)))

    assert conn.execute(query, [mine.agent_id]).fetchall() == before


def test_the_text_form_of_a_vector_is_taken(shelf: Shelf) -> None:
    """PostgREST sends vectors as text."""
    shelf.put("apples", embedding=direction(1))

    found = shelf.conn.execute(
        "SELECT similarity FROM public.search_knowledge(%s, query_embedding => %s)",
        [shelf.agent_id, to_text(vector(1))],
    ).fetchone()

    assert found == (1.0,)


@pytest.mark.parametrize("function", ["match_knowledge_chunks", "search_knowledge"])
def test_dead_rows_in_the_index_hide_nothing(shelf: Shelf, function: str) -> None:
    """HNSW keeps a deleted row until the next vacuum, and gives up after so many of them."""
    shelf.conn.execute(
        "INSERT INTO public.knowledge_chunks (source_id, agent_id, content, embedding, chunk_index)"
        " SELECT %s, %s, n::text, ('[1,' || n * 1e-6 || repeat(',0', 1534) || ']')"
        "::extensions.vector, n FROM generate_series(1, 1500) AS n",
        [shelf.source_id, shelf.agent_id],
    )
    shelf.conn.execute("DELETE FROM public.knowledge_chunks")
    shelf.put_all("far")
    shelf.conn.execute("UPDATE public.knowledge_chunks SET embedding = %s", [direction(1, 1)])
    shelf.conn.execute("SET LOCAL enable_sort = off; SET LOCAL work_mem = '64kB'")

    found = shelf.conn.execute(
        f"SELECT content FROM public.{function}"
        "(query_embedding => %s::extensions.vector, agent_id => %s)".encode(),
        [direction(1), shelf.agent_id],
    ).fetchall()

    assert found == [("far",)]
