"""Metrics count requests by operation, and the work that waits; traces hang on the caller's."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers

from app.kernel import metrics, tracing
from app.kernel.config import Settings
from app.kernel.uow import transaction
from tests.support.installation import free_port
from tests.support.kernel import bare_kernel, new_tenant

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Route:
    path = "/v1/gadgets/{id}"
    operation_id = "get_gadget"


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0


def test_requests_are_counted_by_operation_and_status():
    for status in (200, 200, 404):
        metrics.observe_request({"route": Route(), "rapport.statements": 2}, status, 0.004)
    assert value("rapport_requests_total", operation="get_gadget", status="200") == 2
    assert value("rapport_requests_total", operation="get_gadget", status="404") == 1
    assert value("rapport_sql_statements_total", operation="get_gadget") == 6
    assert value("rapport_request_seconds_bucket", operation="get_gadget", le="0.005") == 3


def test_addresses_that_do_not_exist_make_one_series():
    for path in ("/a", "/b"):
        metrics.observe_request({"path": path}, 404, 0.001)
    assert value("rapport_requests_total", operation="none", status="404") >= 2
    assert "/a" not in repr(list(metrics.REGISTRY.collect()))


async def test_waiting_work_is_counted_when_asked_for(
    own_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(metrics, "_counted_at", 0.0)
    async with bare_kernel(own_database, tmp_path) as kernel:
        async with transaction(kernel, new_tenant()) as uow:
            uow.enqueue("mail.send", {})
        text = (await metrics.render(kernel.database)).decode()
    assert "rapport_jobs_waiting 1.0" in text.splitlines()
    assert "rapport_outbox_unpublished 0.0" in text.splitlines()


def test_a_process_without_an_api_serves_its_metrics_while_it_runs():
    metrics.observe_job("test.served", "completed", 0.5)
    port = free_port()
    with metrics.served("127.0.0.1", port):
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'rapport_jobs_total{kind="test.served",outcome="completed"} 1.0' in text.splitlines()
    with pytest.raises(httpx.ConnectError), metrics.served("127.0.0.1", None):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_without_a_collector_only_the_trace_id_is_kept():
    scope = {"method": "GET"}
    with tracing.request_span(scope, Headers({"traceparent": PARENT})):
        assert tracing.outgoing_headers() == {}
    assert scope["rapport.trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    with tracing.request_span(scope := {"method": "GET"}, Headers({"traceparent": "nonsense"})):
        assert "rapport.trace_id" not in scope


def test_a_span_is_a_child_of_the_callers_and_parent_of_what_we_call():
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    tracing.configure(Settings(environment="test"), exporter=exporter)
    try:
        scope = {"method": "GET", "route": Route(), "rapport.request_id": "r"}
        with tracing.request_span(scope, Headers({"traceparent": PARENT})):
            sent = tracing.outgoing_headers()["traceparent"]
    finally:
        tracing.shutdown()
    assert sent.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    span = exporter.get_finished_spans()[0]
    assert span.name == "GET /v1/gadgets/{id}"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
