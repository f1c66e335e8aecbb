"""Which error a status and a text become; the texts are Triton's own."""

import pytest
from segserve import errors
from segserve._status import Kind, to_error


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Kind.INVALID, "in ensemble 'f', the image is empty (0 bytes)", errors.InvalidImageError),
        (Kind.INVALID, "unexpected inference input 'X'", errors.RequestRefusedError),
        (Kind.INVALID, "Request for unknown model: 'x' is not found", errors.ModelNotFoundError),
        (Kind.NOT_FOUND, "Request for unknown model: 'x' is not found", errors.ModelNotFoundError),
        (Kind.NOT_FOUND, "HTTP status 404: nginx", errors.RequestRefusedError),
        (Kind.UNAVAILABLE, "Request for unknown model: 'x' has no available versions", errors.ModelNotReadyError),
        (Kind.UNAVAILABLE, "in ensemble 'f', Exceeds maximum queue size", errors.OverloadedError),
        (Kind.UNAVAILABLE, "Request timeout expired", errors.OverloadedError),
        (Kind.UNAVAILABLE, "failed to connect to all addresses", errors.ServerConnectionError),
        (Kind.UNAVAILABLE, "This protocol is restricted, expecting header 'x'", errors.AccessDeniedError),
        (Kind.UNAVAILABLE, "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED", errors.TlsError),
        (Kind.DENIED, "bad token", errors.AccessDeniedError),
        (Kind.TOO_LARGE, "Received message larger than max", errors.InvalidImageError),
        (Kind.BUSY, "HTTP status 503: ", errors.OverloadedError),
        (Kind.BUSY, "Request for unknown model: 'x' has no available versions", errors.ModelNotReadyError),
        (Kind.EXHAUSTED, "CLIENT: Received message larger than max (5 vs. 4)", errors.InvalidImageError),
        (Kind.EXHAUSTED, "quota used up", errors.OverloadedError),
        (Kind.UNAVAILABLE, "failed to connect to tls-proxy:443: Connection refused", errors.ServerConnectionError),
        (Kind.UNAVAILABLE, "SSL_ERROR_SSL: SSL routines:OPENSSL_internal:...", errors.TlsError),
        (Kind.DEADLINE, "Deadline Exceeded", errors.DeadlineExceededError),
        (Kind.FAULT, "internal error, incident 0123456789ab", errors.ServerFaultError),
        (Kind.CONNECTION, "Bad Gateway", errors.ServerConnectionError),
    ],
)
def test_a_status_becomes_the_error_to_act_on(kind: Kind, text: str, expected: type[errors.SegserveError]) -> None:
    assert type(to_error(kind, text)) is expected


def test_the_servers_reason_comes_without_tritons_prefix() -> None:
    error = to_error(Kind.INVALID, "in ensemble 'f', the image is empty (0 bytes)")
    assert error.message == "the image is empty (0 bytes)"


def test_a_fault_knows_its_incident() -> None:
    error = to_error(Kind.FAULT, "internal error, incident 0123456789ab")
    assert isinstance(error, errors.ServerFaultError)
    assert error.incident_id == "0123456789ab"


def test_the_servers_word_on_when_to_come_back_is_kept() -> None:
    error = to_error(Kind.UNAVAILABLE, "busy", retry_after_s=7)
    assert isinstance(error, errors.OverloadedError)
    assert error.retry_after_s == 7


def test_silence_is_explained() -> None:
    assert to_error(Kind.FAULT, "").message == "no explanation (fault)"
