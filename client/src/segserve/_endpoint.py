"""Where a server is: the URL's scheme picks the protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from segserve.errors import InvalidInputError

_DEFAULT_PORTS = {"grpc": 8001, "grpcs": 8001, "http": 8000, "https": 443}


@dataclass(frozen=True)
class Endpoint:
    """One server.

    Parameters
    ----------
    scheme
        ``grpc``, ``grpcs``, ``http`` or ``https``.
    host, port
        As in the URL; an IPv6 address without its brackets.
    path
        A prefix in front of ``/v2``, for servers behind a proxy; HTTP only.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Parse ``scheme://host[:port][/path]``. Raises InvalidInputError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InvalidInputError(f"server URL {url!r} is malformed: {error}") from error
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            schemes = ", ".join(f"{scheme}://" for scheme in _DEFAULT_PORTS)
            raise InvalidInputError(f"server URL {url!r} must be {schemes} and a host, such as grpc://gpu01:8001")
        if parts.username or parts.query or parts.fragment:
            raise InvalidInputError("a server URL holds no user, query or fragment; pass token= or headers= instead")
        path = parts.path.rstrip("/")
        if path and parts.scheme.startswith("grpc"):
            raise InvalidInputError(f"server URL {url!r}: gRPC has no path")
        return cls(parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme], path)

    @property
    def is_grpc(self) -> bool:
        """Whether it is spoken to in gRPC."""
        return self.scheme.startswith("grpc")

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme.endswith("s")

    @property
    def authority(self) -> str:
        """``host:port``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_endpoints(url: str | Sequence[str]) -> tuple[Endpoint, ...]:
    """Parse one URL, several separated by commas, or a sequence of them. Raises InvalidInputError."""
    urls = [part.strip() for part in url.split(",")] if isinstance(url, str) else list(url)
    endpoints = tuple(Endpoint.parse(part) for part in urls)
    if not endpoints:
        raise InvalidInputError("no server URL given")
    if len(set(endpoints)) != len(endpoints):
        raise InvalidInputError(f"a server URL is given twice: {', '.join(urls)}")
    return endpoints
