"""The three ports of a server, and whether they are free."""

import contextlib
import socket
from dataclasses import dataclass

from segserve_server.embedded.errors import PortTakenError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    """TCP ports on the loopback address.

    Attributes:
        http, grpc, metrics: port numbers, 1 to 65535, all different.
    """

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002

    def __post_init__(self) -> None:
        for name, port in self.named():
            if not 1 <= port <= 65535:
                raise PortTakenError(f"the {name} port {port} is not a port number: choose one from 1 to 65535")
        if len({port for _, port in self.named()}) != 3:
            raise PortTakenError(f"the ports {self.http}, {self.grpc} and {self.metrics} must differ from each other")

    def named(self) -> tuple[tuple[str, int], ...]:
        """Each port with its name, as the command line spells it."""
        return (("http", self.http), ("grpc", self.grpc), ("metrics", self.metrics))


def free_ports() -> Ports:
    """Three ports that nobody listens on just now; another program may still take one before the server does."""
    with contextlib.ExitStack() as held:
        numbers = []
        for _ in range(3):
            probe = held.enter_context(socket.socket())
            probe.bind((LOOPBACK, 0))
            numbers.append(int(probe.getsockname()[1]))
    return Ports(http=numbers[0], grpc=numbers[1], metrics=numbers[2])


def port_is_free(port: int) -> bool:
    """Whether a server could bind `port` on the loopback address now."""
    with socket.socket() as probe:
        # As tritonserver does: connections of a server that has just stopped do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def require_free(ports: Ports) -> None:
    """Raise PortTakenError for the first port that another program holds."""
    for name, port in ports.named():
        if not port_is_free(port):
            raise PortTakenError(
                f"port {port} is taken: stop the program that listens on it, or choose another with --{name}-port"
            )
