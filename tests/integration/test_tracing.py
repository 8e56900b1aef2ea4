"""Trace contexts on the rows of jobs."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from db.pool import Connection, connect
from workers import tracing
from workers.jobs import Probe, enqueue, enqueue_many


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield exporter
    tracing.end()


def traceparents(conn: Connection) -> list[str | None]:
    rows = conn.execute("SELECT traceparent FROM worker.jobs ORDER BY id").fetchall()
    return [row[0] for row in rows]


def written(span_context: trace.SpanContext | None) -> str:
    assert span_context is not None
    trace_id, span_id = span_context.trace_id, span_context.span_id
    return f"00-{trace_id:032x}-{span_id:016x}-{span_context.trace_flags:02x}"


def test_a_job_carries_the_span_of_its_enqueuing(
    conn: Connection, spans: InMemorySpanExporter
) -> None:
    enqueue(conn, Probe())

    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("enqueue probe", trace.SpanKind.PRODUCER)
    assert traceparents(conn) == [written(span.context)]


def test_jobs_by_copy_carry_it_too(conn: Connection, spans: InMemorySpanExporter) -> None:
    enqueue_many(conn, [Probe(), Probe()])

    (span,) = spans.get_finished_spans()
    assert traceparents(conn) == [written(span.context)] * 2


def test_a_later_insert_of_the_transaction_carries_none(
    database_url: str, conn: Connection, spans: InMemorySpanExporter
) -> None:
    with connect(database_url) as own:
        enqueue(own, Probe())
        own.execute("SELECT worker.enqueue('probe')")

    first, second = traceparents(conn)
    assert (first is None, second is None) == (False, True)


def test_a_traced_job_is_gone_with_the_transaction_of_its_caller(
    database_url: str, conn: Connection, spans: InMemorySpanExporter
) -> None:
    with connect(database_url) as own:
        enqueue(own, Probe())
        enqueue_many(own, [Probe()])
        own.rollback()

    assert traceparents(conn) == []


def test_without_tracing_a_job_carries_none(conn: Connection) -> None:
    enqueue(conn, Probe())

    assert traceparents(conn) == [None]
