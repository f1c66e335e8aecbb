"""The real nginx with the shipped configuration: only addresses, keys and callers are a test's own."""

import shutil
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.processes import LOOPBACK, Running, find_program, free_port, listens, run
from tests.deploy.triton import ROOT

DEPLOY = ROOT / "deploy"


@dataclass(frozen=True)
class Callers:
    """What ``certs.sh`` made: an authority, the server's certificate, callers.

    Attributes:
        folder: where it made them.
        token: a bearer token.
    """

    folder: Path
    token: str

    @classmethod
    def make(cls, folder: Path) -> "Callers":
        """An authority, a server certificate for loopback, the client ``first`` and the token of ``integrator``."""
        run(DEPLOY / "certs.sh", "all", folder, "localhost", LOOPBACK)
        return cls(folder, run(DEPLOY / "certs.sh", "token", folder, "integrator").strip())

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"

    def certificate(self, name: str = "first") -> tuple[Path, Path]:
        """The certificate and the key of a caller."""
        return self.folder / "clients" / f"{name}.crt", self.folder / "clients" / f"{name}.key"

    def tls(self, client: str | None = "first") -> ssl.SSLContext:
        """A context that trusts the authority and shows the client's certificate, if one is named."""
        context = ssl.create_default_context(cafile=str(self.authority))
        if client is not None:
            certificate, key = self.certificate(client)
            context.load_cert_chain(certificate, key)
        return context


class Proxy(Running):
    """nginx on free loopback ports, in front of the servers that ``targets`` name; up when constructed."""

    def __init__(self, folder: Path, callers: Callers, targets: Sequence[str]) -> None:
        self.port, self.status_port, self.log_port = free_port(), free_port(), free_port()
        self.configuration = folder / "configuration"
        self.access_log = folder / "access.log"
        self._run_folder = folder / "run"
        self._run_folder.mkdir()
        shutil.copytree(DEPLOY / "proxy", self.configuration, ignore=shutil.ignore_patterns("secrets"))
        (self.configuration / "secrets").symlink_to(callers.folder / "proxy")
        # The only line of the shipped files that a test changes: a container's standard output is its log.
        logging = self.configuration / "logging.conf"
        logging.write_text(logging.read_text().replace("access_log /dev/stdout", f"access_log {self.access_log}"))
        local = self.configuration / "local"
        (local / "listen.conf").write_text(f"listen {LOOPBACK}:{self.port} ssl http2;\n")
        (local / "listen_status.conf").write_text(f"listen {LOOPBACK}:{self.status_port};\n")
        measured = local / "measured.conf"
        measured.write_text(measured.read_text().replace(":5140", f":{self.log_port}"))
        self._write_upstreams(targets)
        self._command = [
            find_program("nginx"),
            "-p",
            str(self._run_folder),
            "-c",
            str(self.configuration / "nginx.conf"),
        ]
        run(*self._command, "-t", "-q")
        super().__init__([*self._command, "-g", "daemon off;"], log=folder / "nginx.log")
        self.wait_until(lambda: listens(self.port), "nginx listens")

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    @property
    def status_url(self) -> str:
        return f"http://{LOOPBACK}:{self.status_port}"

    def switch(self, *targets: str) -> str:
        """Send requests to these servers from now on, as an operator does; what ``switch.sh`` prints."""
        return run(DEPLOY / "switch.sh", *targets, environment=self._switch_environment, timeout_s=120)

    def reload(self) -> None:
        """Read certificates and callers again."""
        run(*self._command, "-s", "reload")

    @property
    def _switch_environment(self) -> dict[str, str]:
        return {
            "SEGSERVE_PROXY": str(self.configuration),
            "SEGSERVE_CONF": str(self.configuration / "nginx.conf"),
            "SEGSERVE_RUN": str(self._run_folder),
            "SEGSERVE_EXEC": f"env PATH={Path(find_program('nginx')).parent}:/usr/bin:/bin",
        }

    def _write_upstreams(self, targets: Sequence[str]) -> None:
        parts = [target.partition("=")[0].split(":") for target in targets]
        lines = [
            f"upstream triton_{name} {{ {' '.join(f'server {part[0]}:{part[place]};' for part in parts)} }}\n"
            for place, name in ((1, "http"), (2, "grpc"), (3, "metrics"))
        ]
        (self.configuration / "local" / "upstreams.conf").write_text("".join(lines))
