"""Spans of jobs, as the SDK's own exporter in memory gets them."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from db.jobs import Claimed
from pipelines.errors import Transient
from workers import tracing

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TENANT = UUID("8c3f6a52-6f0e-4f0d-9f3e-0d6a1f1f9a11")


def job(traceparent: str | None = TRACEPARENT) -> Claimed:
    return Claimed(
        4711, "probe", "default", TENANT, {}, attempt=2, max_attempts=3, traceparent=traceparent
    )


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield exporter
    tracing.end()


def one(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def test_a_run_is_a_child_of_its_enqueuing(spans: InMemorySpanExporter) -> None:
    run = tracing.begin_run(job())
    assert run is not None
    run.end("completed", None)

    span = one(spans)
    assert span.name == "run probe"
    assert span.kind is SpanKind.CONSUMER
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"


def test_a_run_says_which_job_and_how_it_ended(spans: InMemorySpanExporter) -> None:
    run = tracing.begin_run(job())
    assert run is not None
    run.end("retryable", Transient("busy"))

    span = one(spans)
    assert span.attributes == {
        "messaging.system": "avivro",
        "messaging.destination.name": "default",
        "avivro.job_id": 4711,
        "avivro.kind": "probe",
        "avivro.attempt": 2,
        "avivro.outcome": "retryable",
    }
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


def test_a_job_that_nobody_traced_begins_a_trace(spans: InMemorySpanExporter) -> None:
    run = tracing.begin_run(job(None))
    assert run is not None
    run.end("completed", None)

    assert one(spans).parent is None


def test_a_step_lies_within_the_run_of_its_thread(spans: InMemorySpanExporter) -> None:
    run = tracing.begin_run(job())
    assert run is not None
    with tracing.step("embed", provider="local"):
        pass
    run.end("completed", None)

    step, whole = spans.get_finished_spans()
    assert step.parent == whole.context


def test_one_run_is_no_parent_of_the_next(spans: InMemorySpanExporter) -> None:
    for _ in range(2):
        run = tracing.begin_run(job(None))
        assert run is not None
        run.end("completed", None)

    first, second = spans.get_finished_spans()
    assert second.parent is None
    assert first.context is not None
    assert second.context is not None
    assert first.context.trace_id != second.context.trace_id


def test_after_a_run_its_thread_is_in_no_span(spans: InMemorySpanExporter) -> None:
    run = tracing.begin_run(job())
    assert run is not None
    run.end("completed", None)
    with tracing.step("later"):
        pass

    assert spans.get_finished_spans()[1].parent is None


def test_without_a_collector_nothing_is_imported() -> None:
    code = (
        "import sys; from workers import jobs, tracing; tracing.begin('x', endpoint=None);"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_a_collector_a_run_is_nothing() -> None:
    assert tracing.begin_run(job()) is None


def test_steps_of_jobs_that_take_turns_belong_to_their_own_runs(
    spans: InMemorySpanExporter,
) -> None:
    async def run(job_id: int) -> None:
        attempt = tracing.begin_run(replace(job(None), id=job_id))
        assert attempt is not None
        for _ in range(3):
            with tracing.step("send", job=str(job_id)):
                await asyncio.sleep(0)
        attempt.end("completed", None)

    async def all_at_once() -> None:
        await asyncio.gather(*(run(job_id) for job_id in range(1, 6)))

    asyncio.run(all_at_once())

    finished = spans.get_finished_spans()
    runs = {
        span.context.span_id: str((span.attributes or {})["avivro.job_id"])
        for span in finished
        if span.name == "run probe" and span.context is not None
    }
    steps = [
        ((span.attributes or {})["job"], runs[span.parent.span_id])
        for span in finished
        if span.name == "send" and span.parent is not None
    ]
    assert len(steps) == 15
    assert all(of == parent for of, parent in steps)
