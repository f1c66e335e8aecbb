"""Server URLs and the value objects of a client."""

from pathlib import Path

import pytest
from segserve import HedgePolicy, InvalidInputError, RetryPolicy, Tls
from segserve._endpoint import Endpoint, parse_endpoints


@pytest.mark.parametrize(
    ("url", "text", "protocol"),
    [
        ("grpc://gpu01", "grpc://gpu01:8001", (True, False)),
        ("grpcs://gpu01:9", "grpcs://gpu01:9", (True, True)),
        ("http://gpu01", "http://gpu01:8000", (False, False)),
        ("https://proxy/triton/", "https://proxy:443/triton", (False, True)),
        ("grpc://[::1]:8001", "grpc://[::1]:8001", (True, False)),
    ],
)
def test_the_scheme_picks_protocol_and_default_port(url: str, text: str, protocol: tuple[bool, bool]) -> None:
    endpoint = Endpoint.parse(url)
    assert (str(endpoint), (endpoint.is_grpc, endpoint.is_tls)) == (text, protocol)


@pytest.mark.parametrize(
    "url",
    ["gpu01:8001", "ftp://a", "grpc://", "grpc://a:port", "grpc://a/path", "http://user:pw@a", "http://a?b", ""],
)
def test_an_unusable_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="URL"):
        Endpoint.parse(url)


def test_several_urls_come_as_text_or_sequence() -> None:
    assert parse_endpoints("grpc://a, http://b") == parse_endpoints(["grpc://a", "http://b"])
    with pytest.raises(InvalidInputError, match="twice"):
        parse_endpoints("grpc://a,grpc://a:8001")
    with pytest.raises(InvalidInputError, match="no server URL"):
        parse_endpoints([])


@pytest.mark.parametrize(
    "make",
    [
        lambda: RetryPolicy(max_attempts=0),
        lambda: RetryPolicy(max_server_faults=-1),
        lambda: RetryPolicy(initial_backoff_s=3, max_backoff_s=1),
        lambda: HedgePolicy(percentile=10),
        lambda: HedgePolicy(min_samples=0),
        lambda: Tls(certificate_file="only-one.pem"),
        lambda: Tls(ca_file=Path("/no/such/file")).read("ca_file"),
    ],
)
def test_senseless_settings_are_refused(make: object) -> None:
    with pytest.raises(InvalidInputError):
        make()  # type: ignore[operator]


def test_a_certificate_that_is_not_set_reads_as_none() -> None:
    assert Tls().read("ca_file") is None
