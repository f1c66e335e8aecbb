"""The command line of tritonserver, in one table.

An unknown flag ends tritonserver with its usage text, so each flag carries the first version that knows it and is
left out for older ones.
"""

from dataclasses import dataclass
from pathlib import Path

from segserve_server.embedded.ports import LOOPBACK, Ports

Version = tuple[int, int]

#: The oldest server that this table was tried on, and the one that the PyPI wheel carries.
EMBEDDED_VERSION: Version = (2, 51)

_ADMIN_APIS = "model-repository,shared-memory,trace,logging"


@dataclass(frozen=True)
class ServerSettings:
    """What differs from one embedded server to the next.

    Attributes:
        repository: the model repository.
        variant: the name in `configs/<variant>.pbtxt` that models which have it are served with.
        ports: where to listen, on the loopback address.
        backend_directory: the directory laid by `runtime.lay_backend_directory`.
        region_prefix: how the names of this server's /dev/shm regions begin.
        admin_key: what a caller of the model repository API must send in the header `admin-key`.
        grace_s: seconds that requests in flight have to finish once the server is asked to stop.
    """

    repository: Path
    variant: str
    ports: Ports
    backend_directory: Path
    region_prefix: str
    admin_key: str
    grace_s: int


@dataclass(frozen=True)
class Flag:
    """One flag: its text, and the first tritonserver that knows it."""

    text: str
    since: Version = EMBEDDED_VERSION


def flag_table(settings: ServerSettings) -> tuple[Flag, ...]:
    """Every flag that the embedded server may be given, whatever its version."""
    ports = settings.ports
    return (
        Flag(f"--model-repository={settings.repository}"),
        Flag(f"--model-config-name={settings.variant}"),
        Flag(f"--backend-directory={settings.backend_directory}"),
        Flag(f"--backend-config=python,shm-region-prefix-name={settings.region_prefix}"),
        # EXPLICIT, so that the supervisor can reload a model whose stub died; `*` loads every folder.
        Flag("--model-control-mode=explicit"),
        Flag("--load-model=*"),
        # Loading a model also takes its files from the request: any web page open on this machine could post a
        # Python model. The others change the server or read its memory; none is needed to be served.
        Flag(f"--http-restricted-api={_ADMIN_APIS}:admin-key={settings.admin_key}"),
        Flag(f"--grpc-restricted-protocol={_ADMIN_APIS}:admin-key={settings.admin_key}"),
        Flag("--disable-auto-complete-config"),
        Flag("--exit-on-error=true"),
        Flag("--strict-readiness=true"),
        Flag(f"--exit-timeout-secs={settings.grace_s}"),
        Flag(f"--http-address={LOOPBACK}"),
        Flag(f"--http-port={ports.http}"),
        Flag(f"--grpc-address={LOOPBACK}"),
        Flag(f"--grpc-port={ports.grpc}"),
        Flag(f"--metrics-address={LOOPBACK}"),
        Flag(f"--metrics-port={ports.metrics}"),
        Flag("--metrics-config=summary_latencies=true"),
        Flag("--allow-gpu-metrics=false"),
        Flag("--allow-sagemaker=false"),
        Flag("--allow-vertex-ai=false"),
        Flag("--http-max-input-size=67108864", since=(2, 59)),
        Flag("--allow-client-shm=false", since=(2, 68)),
    )


def command_line(settings: ServerSettings, version: Version) -> list[str]:
    """The flags that a tritonserver of `version` knows, in the table's order."""
    return [flag.text for flag in flag_table(settings) if flag.since <= version]
