"""OpenTelemetry spans and W3C trace context, where a client was asked for them."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Protocol

from segserve._extras import require


class Span(Protocol):
    """What the SDK does with a span."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Attach a fact; never image content or a file name."""
        ...


class Tracer(Protocol):
    """Opens spans and writes the trace context into headers."""

    def span(self, name: str, attributes: dict[str, Any]) -> Any:
        """A context manager around a span."""
        ...

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Add ``traceparent`` (and what else the program's propagator writes)."""
        ...


class _NullSpan:
    def set_attribute(self, key: str, value: Any) -> None:
        """Nobody listens."""


class NullTracer:
    """Does nothing."""

    @contextmanager
    def span(self, name: str, attributes: dict[str, Any]) -> Iterator[Span]:
        """No span."""
        yield _NullSpan()

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """No header."""


class OpenTelemetryTracer:
    """Spans of kind CLIENT from the program's own tracer provider."""

    def __init__(self) -> None:
        self._trace = require("opentelemetry.trace", extra="telemetry", feature="tracing")
        self._propagate = require("opentelemetry.propagate", extra="telemetry", feature="tracing")
        self._tracer = self._trace.get_tracer("segserve")

    @contextmanager
    def span(self, name: str, attributes: dict[str, Any]) -> Iterator[Span]:
        """A span that is current inside the block; an exception marks it as failed."""
        with self._tracer.start_as_current_span(name, kind=self._trace.SpanKind.CLIENT, attributes=attributes) as span:
            yield span

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Write the current span's context."""
        self._propagate.inject(headers)
