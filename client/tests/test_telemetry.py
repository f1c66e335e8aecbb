"""Spans, trace context, counters and logging."""

import asyncio
import logging
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from segserve import MissingExtraError, ServerConnectionError
from segserve.testing import FakeServer


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_call_is_a_span_under_the_programs_own_and_its_context_goes_to_the_server(
    fake: FakeServer, png: bytes, exporter: InMemorySpanExporter, kind: str
) -> None:
    exporter.clear()
    fake.script(ServerConnectionError("reset"))

    async def call() -> None:
        async with fake.async_client(tracing=True) as client:
            await client.segment(png, request_id="r-1")

    with trace.get_tracer("program").start_as_current_span("program"):
        if kind == "sync":
            with fake.client(tracing=True) as client:
                client.segment(png, request_id="r-1")
        else:
            asyncio.run(call())
    spans = {span.name: span for span in exporter.get_finished_spans()}
    span, parent = spans["segserve.infer"], spans["program"]
    assert span.parent is not None
    assert span.context is not None
    assert parent.context is not None
    assert span.parent.span_id == parent.context.span_id
    assert dict(span.attributes or {}) == {
        "segserve.model": "fundus_hemorrhage",
        "segserve.request_id": "r-1",
        "segserve.bytes": len(png),
        "segserve.endpoint": "grpc://fake:8001",
        "segserve.attempts": 2,
    }
    expected = f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-"
    assert [seen.headers["traceparent"][:-2] for seen in fake.seen] == [expected, expected]  # without its flags


def test_without_tracing_no_context_is_sent(fake: FakeServer, png: bytes) -> None:
    with fake.client() as client:
        client.segment(png)
    assert "traceparent" not in fake.seen[0].headers


def test_tracing_without_its_extra_says_what_to_install(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(MissingExtraError, match=r"segserve\[telemetry\]"):
        fake.client(tracing=True)


def test_retries_are_logged_under_segserve_only(fake: FakeServer, png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    fake.script(ServerConnectionError("reset"))
    with caplog.at_level(logging.INFO), fake.client() as client:
        client.segment(png)
    records = [record for record in caplog.records if record.name.startswith("segserve")]
    assert ["attempt 1 failed" in record.getMessage() for record in records] == [True]


def test_the_library_configures_no_logging() -> None:
    script = "import logging, segserve; print(logging.getLogger().handlers, logging.getLogger('segserve').handlers)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]
