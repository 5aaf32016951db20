"""Spans told to an OpenTelemetry collector (OTLP over HTTP), in batches and by a thread of their own.

Loaded only where a collector is named. One that is away costs a warning and the spans of that time: the queue is
bounded, nobody waits for it. Sampling and headers are set as for every program that uses OpenTelemetry
(`OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from types import TracebackType
from typing import Final

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan

from services.kernel.event_store import DuplicateDelivery, KeyTaken
from services.kernel.logging import masked
from services.kernel.refusal import Refusal
from services.kernel.tracing import TRACEPARENT, Attributes, Kind, Span

TRACES_PATH: Final = "/v1/traces"
#: How long a batch may take, with its tries.
EXPORT_SECONDS: Final = 3.0
#: How long spans are thrown away after a batch was not taken, before the next is tried.
AWAY_SECONDS: Final = 5.0
#: Spans are collected for so long.
COLLECT_MS: Final = 1_000
#: Spans that wait at most; the oldest give way.
QUEUE_SPANS: Final = 8_192

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
#: Answers, not faults.
_ORDINARY = (Refusal, KeyTaken, DuplicateDelivery)

log = structlog.get_logger(__name__)


class Collector:
    """Where the spans of this process go. Each service is told as one of its own, in one process or many."""

    def __init__(self, endpoint: str) -> None:
        # It tells every failed try by itself, where one line is enough.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        url = endpoint.rstrip("/").removesuffix(TRACES_PATH) + TRACES_PATH
        self._exporter = _Exporter(url)
        self._processor = BatchSpanProcessor(
            self._exporter, max_queue_size=QUEUE_SPANS, schedule_delay_millis=COLLECT_MS
        )
        self._tracers: dict[str, Tracer] = {}

    def span(self, service: str, name: str, kind: Kind, parent: str, attributes: Attributes | None) -> Span:
        """A span of a service, begun now."""
        tracer = self._tracers.get(service) or self._tracer(service)
        return _Told(tracer.start_span(name, _context(parent), _KINDS[kind], attributes))

    def _tracer(self, service: str) -> Tracer:
        version = metadata.version("aftersales")
        resource = Resource.create({"service.name": f"aftersales-{service}", "service.version": version})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        tracer = self._tracers[service] = provider.get_tracer("aftersales", version)
        return tracer

    async def shut_down(self, seconds: float) -> None:
        """Send what waits; what is not taken within `seconds` is lost."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def flush() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            with suppress(RuntimeError):  # the loop did not wait for it
                loop.call_soon_threadsafe(done.set)

        # No thread of the loop's pool: the end of the process would wait for that one.
        threading.Thread(target=flush, name="flush-spans", daemon=True).start()
        try:
            async with asyncio.timeout(seconds):
                await done.wait()
        except TimeoutError:
            self._exporter.give_up()
            log.warning("spans_lost_at_the_end")


class _Told(Span):
    """A span of the SDK."""

    __slots__ = ("_span", "recording")

    def __init__(self, span: OtelSpan) -> None:
        context = span.get_span_context()
        super().__init__(f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}")
        self._span = span
        self.recording = span.is_recording()

    def tell(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def failed(self, reason: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, masked(reason)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Refusal):
            self.tell({"aftersales.refused": error.code})
        elif error is not None:
            self.tell({"error.type": type(error).__name__})
            if isinstance(error, Exception) and not isinstance(error, _ORDINARY):
                self.failed(str(error))
        self._span.end()


class _Exporter(SpanExporter):
    """The library's exporter, made patient: it tells once that the collector is away, and once that it is back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._inner = OTLPSpanExporter(url, timeout=EXPORT_SECONDS)
        self._away_until = 0.0
        self._away = False
        self._closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._closed or time.monotonic() < self._away_until:
            return SpanExportResult.FAILURE
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._away:
                log.info("collector_is_there", url=self._url)
            self._away = False
        else:
            self._away_until = time.monotonic() + AWAY_SECONDS
            if not self._away and not self._closed:
                log.warning("collector_away", url=self._url, lost_spans=len(spans))
            self._away = True
        return result

    def give_up(self) -> None:
        """Interrupt what is under way; nothing more is sent."""
        if not self._closed:
            self._closed = True
            self._inner.shutdown()  # type: ignore[no-untyped-call]

    def shutdown(self) -> None:
        self.give_up()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def _context(parent: str) -> Context:
    """The context of a parent in another process, or none at all."""
    match = TRACEPARENT.fullmatch(parent)
    if match is None:
        return Context()
    context = SpanContext(int(match[1], 16), int(match[2], 16), True, TraceFlags(int(match[3], 16)))
    return set_span_in_context(NonRecordingSpan(context), Context())
