"""Traces by OpenTelemetry when an endpoint is configured; otherwise only the caller's trace id, for the logs.

W3C Trace Context (`traceparent`) is read from requests and written to what we call outside. The SDK is imported
only when it is wanted: it costs a second of start-up and 30 MB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from starlette.datastructures import Headers

from app.kernel.config import Settings

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_NO_TRACE = "0" * 32
_NOTHING: AbstractContextManager[None] = nullcontext()
_tracer: Any = None
_provider: Any = None


def configure(settings: Settings, *, exporter: Any = None) -> None:
    """Start exporting spans if `otlp_endpoint` is set (or to `exporter`); call `shutdown` before leaving."""
    global _tracer, _provider
    if settings.otlp_endpoint is None and exporter is None:
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "rapport"}))
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        url = f"{(settings.otlp_endpoint or '').rstrip('/')}/v1/traces"
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    else:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    _provider, _tracer = provider, provider.get_tracer("rapport")


def shutdown() -> None:
    """Send what is still buffered."""
    global _tracer, _provider
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


def request_span(scope: MutableMapping[str, Any], headers: Headers) -> AbstractContextManager[None]:
    """The span of one request, child of the caller's; leaves the trace id in `scope["rapport.trace_id"]`."""
    given = headers.get("traceparent")
    if given:
        match = _TRACEPARENT.fullmatch(given)
        if match and match[1] != _NO_TRACE:
            scope["rapport.trace_id"] = match[1]
    return _NOTHING if _tracer is None else _recorded(scope, headers)


@contextmanager
def _recorded(scope: MutableMapping[str, Any], headers: Headers) -> Iterator[None]:
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract(dict(headers))
    with _tracer.start_as_current_span(scope["method"], context=parent, kind=SpanKind.SERVER) as span:
        scope["rapport.trace_id"] = f"{span.get_span_context().trace_id:032x}"
        try:
            yield
        finally:
            route = scope.get("route")
            if route is not None:
                span.update_name(f"{scope['method']} {route.path}")
                span.set_attribute("http.route", route.path)
            span.set_attribute("http.request.method", scope["method"])
            span.set_attribute("rapport.request_id", scope.get("rapport.request_id", ""))


@contextmanager
def span(name: str, **attributes: str | float | bool) -> Iterator[None]:
    """A span of our own, for jobs and calls outside; free when tracing is off."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, attributes=attributes):
        yield


def outgoing_headers() -> dict[str, str]:
    """`traceparent` of the span at hand, for requests that we send; empty when tracing is off."""
    carrier: dict[str, str] = {}
    if _tracer is not None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(carrier)
    return carrier
