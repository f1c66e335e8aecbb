"""Starts, watches and stops a real Triton on this machine, for development, tests and demos."""

from segserve_server.embedded.errors import (
    EmbeddedServerError,
    PortTakenError,
    RepositoryError,
    RuntimeMissingError,
    ServerFailedError,
    SharedMemoryError,
)
from segserve_server.embedded.ports import Ports, free_ports
from segserve_server.embedded.server import EmbeddedServer
from segserve_server.embedded.supervisor import State

__all__ = [
    "EmbeddedServer",
    "EmbeddedServerError",
    "PortTakenError",
    "Ports",
    "RepositoryError",
    "RuntimeMissingError",
    "ServerFailedError",
    "SharedMemoryError",
    "State",
    "free_ports",
]
