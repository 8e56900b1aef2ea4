"""OpenTelemetry spans from enqueue to finish, for who collects them; costs nothing for others.

A job's row carries the W3C trace context of the transaction that enqueued it, so the span of its
run is a child of the span of its enqueuing, whichever process runs it, and however much later.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from db.jobs import Claimed
from db.pool import Connection
from db.traces import set_traceparent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

log = logging.getLogger(__name__)


class Tracing:
    """`tracer` is None until somebody collects spans."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None
        self.provider: TracerProvider | None = None


STATE = Tracing()


def begin(role: str, *, endpoint: str | None) -> None:
    """Send spans to the collector at `endpoint`; nothing where there is none."""
    if endpoint is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("no spans are sent: pip install 'avivro[otel]'")
        return
    provider = TracerProvider(
        resource=Resource.create({"service.name": "avivro", "service.instance.role": role})
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    use(provider)


def use(provider: "TracerProvider | None") -> None:
    """Trace with this provider: for programs that enqueue and have set up their own."""
    STATE.provider = provider
    STATE.tracer = None if provider is None else provider.get_tracer("avivro")


def end() -> None:
    """Send what was not sent yet, at the process' orderly end."""
    if STATE.provider is not None:
        STATE.provider.shutdown()
        use(None)


@contextmanager
def enqueuing(conn: Connection, kind: str) -> Iterator[None]:
    """A span around inserting jobs; those inserted in the block carry its context."""
    if STATE.tracer is None:
        yield
        return
    from opentelemetry.trace import SpanKind

    attributes = {"messaging.system": "avivro", "messaging.destination.name": kind}
    # The setting lasts for a transaction; the caller's own must not be ended here.
    transaction = conn.transaction() if conn.autocommit else nullcontext()
    with (
        STATE.tracer.start_as_current_span(
            f"enqueue {kind}", kind=SpanKind.PRODUCER, attributes=attributes
        ),
        transaction,
    ):
        set_traceparent(conn, current_traceparent())
        yield
        set_traceparent(conn, None)


def current_traceparent() -> str | None:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


class Run:
    """The span of one attempt; `end` it in the thread that began it."""

    def __init__(self, span: "Span", token: Any) -> None:
        self._span = span
        self._token = token

    def end(self, outcome: str | None, error: BaseException | None) -> None:
        """`outcome` None: the job was lost to another process."""
        from opentelemetry.context import detach
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute("avivro.outcome", outcome or "lost")
        if error is not None:
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        self._span.end()
        detach(self._token)


def begin_run(job: Claimed) -> Run | None:
    """Begin the span of a job's attempt; None, and nothing is done, where nobody collects."""
    if STATE.tracer is None:
        return None
    from opentelemetry.context import Context, attach
    from opentelemetry.trace import SpanKind, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {} if job.traceparent is None else {"traceparent": job.traceparent}
    span = STATE.tracer.start_span(
        f"run {job.kind}",
        # Not the thread's own context: a job's parent is who enqueued it, or nobody.
        context=TraceContextTextMapPropagator().extract(carrier, context=Context()),
        kind=SpanKind.CONSUMER,
        attributes={
            "messaging.system": "avivro",
            "messaging.destination.name": job.queue,
            "avivro.job_id": job.id,
            "avivro.kind": job.kind,
            "avivro.attempt": job.attempt,
        },
    )
    return Run(span, attach(set_span_in_context(span)))


@contextmanager
def step(name: str, **attributes: str) -> Iterator[None]:
    """A span within the run of a job."""
    if STATE.tracer is None:
        yield
        return
    with STATE.tracer.start_as_current_span(name, attributes=attributes):
        yield
