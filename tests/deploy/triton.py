"""A real tritonserver, started by the container's entrypoint with the shipped flags, watched by nobody."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from segserve_server.embedded import Ports, free_ports, shared_memory
from segserve_server.embedded.procfs import children
from segserve_server.embedded.runtime import find_runtime
from tests.deploy.processes import LOOPBACK, Running

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "deploy" / "image"


class Triton(Running):
    """Serves ``repository`` on free loopback ports; ready when constructed.

    The doctor judges shipped pipelines, of which the tiny one is none, so only ``with_doctor`` is the way a container
    takes in full.
    """

    def __init__(
        self, repository: Path, *, log: Path, with_doctor: bool = False, options: Mapping[str, str] | None = None
    ) -> None:
        self.repository = repository
        self.ports: Ports = free_ports()
        self._regions = shared_memory.new_prefix()
        runtime = find_runtime()
        self.environment = runtime.environment | {
            "SEGSERVE_REPOSITORY": str(repository),
            "SEGSERVE_VARIANT": "cpu",
            "SEGSERVE_TRITONSERVER": str(runtime.server),
            "SEGSERVE_BACKENDS": str(runtime.backend_directory),
            "TRITON_SERVER_VERSION": ".".join(map(str, runtime.version)),
            **{f"SEGSERVE_{name.upper()}_PORT": str(port) for name, port in self.ports.named()},
            **(options or {}),
        }
        regions = f"--backend-config=python,shm-region-prefix-name={self._regions}"
        command = [str(IMAGE / "entrypoint.py"), regions]
        if not with_doctor:
            command.insert(1, "--print")
            environment = self.environment
            command = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True, check=True
            ).stdout.splitlines()
        super().__init__(command, log=log, environment=self.environment)
        try:
            self.wait_until(lambda: self.probe().returncode == 0, "tritonserver is ready", timeout_s=120)
        except BaseException:
            self.stop()
            raise

    def probe(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What the container's health check says."""
        command = [str(IMAGE / "probe.py"), *arguments]
        environment = self.environment | {"SEGSERVE_PID": str(self.pid)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def target(self, *, weight: int = 1) -> str:
        """This server as ``switch.sh`` takes it."""
        return f"{LOOPBACK}:{self.ports.http}:{self.ports.grpc}:{self.ports.metrics}={weight}"

    def stub_pids(self, model: str) -> list[int]:
        """The living model processes of ``model``."""
        return [
            child.pid
            for child in children(self.pid)
            if child.is_stub and not child.is_dead and f"/{model}/" in child.command_line
        ]

    def stop(self, *, grace_s: float = 5.0) -> None:
        """End it and remove its shared memory."""
        super().stop(grace_s=grace_s)
        shared_memory.remove_regions(self._regions)
