"""A collector for tests: it takes OTLP over HTTP as real ones do, and keeps the spans."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


class Told(msgspec.Struct, frozen=True):
    """A span as the collector got it."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


class Receiver:
    """Listens on a free port, or on the one that it is given."""

    def __init__(self, port: int = 0) -> None:
        self.spans: list[Told] = []
        self.requests = 0
        self.status = 200
        self.hold = asyncio.Event()
        self.hold.set()
        self._port = port
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start(self) -> "Receiver":
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def close(self) -> None:
        self.hold.set()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def trace(self, trace_id: str) -> list[Told]:
        """The spans of a trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    async def _take(self, request: web.Request) -> web.Response:
        self.requests += 1
        await self.hold.wait()
        message = ExportTraceServiceRequest.FromString(await request.read())
        for resources in message.resource_spans:
            about = _values(resources.resource.attributes)
            self.spans += [
                Told(
                    service=about["service.name"],
                    name=span.name,
                    kind=KINDS[span.kind],
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    failed=span.status.code == 2,
                    attributes=_values(span.attributes),
                    resource=about,
                )
                for scope in resources.scope_spans
                for span in scope.spans
            ]
        return web.Response(status=self.status, content_type="application/x-protobuf")


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)
