import socket
from collections.abc import Iterator

import pytest

from segserve_server.embedded.errors import PortTakenError
from segserve_server.embedded.ports import LOOPBACK, Ports, free_ports, port_is_free, require_free


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen()
        yield listening


def test_free_ports_differ_and_can_be_bound() -> None:
    ports = free_ports()

    assert len({ports.http, ports.grpc, ports.metrics}) == 3
    require_free(ports)


def test_a_port_that_another_program_listens_on_is_not_free(listener: socket.socket) -> None:
    assert not port_is_free(listener.getsockname()[1])


@pytest.mark.parametrize("name", ["http", "grpc", "metrics"])
def test_a_taken_port_is_named_together_with_the_flag_that_chooses_another(listener: socket.socket, name: str) -> None:
    taken = listener.getsockname()[1]
    free = free_ports()
    numbers = {"http": free.http, "grpc": free.grpc, "metrics": free.metrics, name: taken}

    with pytest.raises(PortTakenError, match=rf"port {taken} is taken: .* --{name}-port"):
        require_free(Ports(**numbers))


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(PortTakenError, match=f"the grpc port {port} is not a port number"):
        Ports(grpc=port)


def test_one_port_for_two_services_is_refused() -> None:
    with pytest.raises(PortTakenError, match="must differ"):
        Ports(http=8000, grpc=8000)
