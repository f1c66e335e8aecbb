"""What a Kubernetes Service is to the proxy: one address, behind which each new connection goes to some ready pod."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from types import TracebackType

from tests.deploy.processes import LOOPBACK


class ClusterIp:
    """Forwards TCP connections of one loopback port to the pods' ports in turn.

    As with a Service, changing the pods touches new connections only.
    """

    def __init__(self, pods: list[int]) -> None:
        self.pods = pods
        self._turn: Iterator[int] = itertools.count()
        self._listener = socket.create_server((LOOPBACK, 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                caller, _ = self._listener.accept()
                pods = self.pods
                try:
                    pod = socket.create_connection((LOOPBACK, pods[next(self._turn) % len(pods)]), timeout=5)
                except OSError:
                    caller.close()
                    continue
                pod.settimeout(None)
                self._open += [caller, pod]
                for source, sink in ((caller, pod), (pod, caller)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()

    def __enter__(self) -> "ClusterIp":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # accept() in the other thread returns only when it is shut down first.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        source.shutdown(socket.SHUT_RDWR)
