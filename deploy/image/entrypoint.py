#!/usr/bin/env python3
"""The container's first process: doctor, then tritonserver in its place.

Reads ``triton.flags`` beside this file and the environment (defaults in brackets):

SEGSERVE_REPOSITORY     [/models] the model repository
SEGSERVE_VARIANT        [] the name in ``configs/<variant>.pbtxt``; ``cpu`` for the CPU server
SEGSERVE_BIND           [127.0.0.1] the address that Triton listens on
SEGSERVE_HTTP_PORT, SEGSERVE_GRPC_PORT, SEGSERVE_METRICS_PORT  [8000, 8001, 8002]
SEGSERVE_OTLP_URL       [] an OTLP collector's trace address; empty: no tracing
SEGSERVE_TRACE_RATE     [100] one request in so many is traced
SEGSERVE_TRITONSERVER   [/opt/tritonserver/bin/tritonserver]
SEGSERVE_BACKENDS       [] another backend directory than the server's own
TRITON_SERVER_VERSION   set by the NGC image

    entrypoint.py [--print] [FLAG...]

Further flags go to tritonserver. ``--print`` prints the command, one argument a line, and starts nothing. Standard
library only.
"""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

FLAGS_FILE = Path(__file__).with_name("triton.flags")

#: Protocols that only an administrator inside the container may use; the key is made anew at each start and told to
#: nobody. The proxy refuses them too: this holds when somebody gets past it.
RESTRICTED = "model-repository,shared-memory,statistics,trace,logging"

PORTS = {"http": 8000, "grpc": 8001, "metrics": 8002}

_SINCE = re.compile(r"(?P<flag>--\S+)(?:\s+# since (?P<version>\d+\.\d+))?\s*")


class EntrypointError(Exception):
    """The container cannot start as it is configured."""


def read_flags(text: str, version: tuple[int, int]) -> list[str]:
    """The flags of ``triton.flags`` that a tritonserver of ``version`` knows, in the file's order."""
    flags = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _SINCE.fullmatch(line)
        if match is None:
            raise EntrypointError(f"triton.flags line {number}: {line!r} is not a flag, or a flag and '# since X.Y'")
        if match["version"] is None or _version(match["version"]) <= version:
            flags.append(match["flag"])
    return flags


def build_command(environment: Mapping[str, str], flags: str, *, admin_key: str) -> list[str]:
    """tritonserver and its arguments."""
    bind = environment.get("SEGSERVE_BIND", "127.0.0.1")
    command = [
        environment.get("SEGSERVE_TRITONSERVER", "/opt/tritonserver/bin/tritonserver"),
        f"--model-repository={environment.get('SEGSERVE_REPOSITORY', '/models')}",
        *read_flags(flags, _server_version(environment)),
        f"--http-restricted-api={RESTRICTED}:admin-key={admin_key}",
        f"--grpc-restricted-protocol={RESTRICTED}:admin-key={admin_key}",
    ]
    for name in PORTS:
        command += [f"--{name}-address={bind}", f"--{name}-port={_port(environment, name)}"]
    if variant := environment.get("SEGSERVE_VARIANT"):
        command.append(f"--model-config-name={variant}")
    if backends := environment.get("SEGSERVE_BACKENDS"):
        command.append(f"--backend-directory={backends}")
    if collector := environment.get("SEGSERVE_OTLP_URL"):
        rate = environment.get("SEGSERVE_TRACE_RATE", "100")
        # TIMESTAMPS only: the level TENSORS would send images away.
        command += [
            "--trace-config=mode=opentelemetry",
            f"--trace-config=opentelemetry,url={collector}",
            "--trace-config=opentelemetry,resource=service.name=segserve",
            "--trace-config=level=TIMESTAMPS",
            f"--trace-config=rate={rate}",
        ]
    return command


def _port(environment: Mapping[str, str], name: str) -> str:
    return environment.get(f"SEGSERVE_{name.upper()}_PORT", str(PORTS[name]))


def _server_version(environment: Mapping[str, str]) -> tuple[int, int]:
    text = environment.get("TRITON_SERVER_VERSION", "")
    if not re.match(r"\d+\.\d+", text):
        raise EntrypointError(f"TRITON_SERVER_VERSION is {text!r}: set it to the server's version, such as 2.75.0")
    return _version(text)


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def run_doctor(environment: Mapping[str, str]) -> int:
    """Print what ``segserve-server doctor`` finds, for the container's log; its exit code."""
    doctor = ["segserve-server", "doctor", f"--repository={environment.get('SEGSERVE_REPOSITORY', '/models')}"]
    doctor += [f"--{name}-port={_port(environment, name)}" for name in PORTS]
    if variant := environment.get("SEGSERVE_VARIANT"):
        doctor.append(f"--variant={variant}")
    return subprocess.run(doctor, check=False).returncode


def main(arguments: list[str]) -> int:
    """Become tritonserver, or print its command; returns only when that is not possible."""
    only_print = arguments[:1] == ["--print"]
    try:
        command = build_command(os.environ, FLAGS_FILE.read_text(), admin_key=secrets.token_hex(16))
    except EntrypointError as error:
        print(f"entrypoint: {error}", file=sys.stderr)  # noqa: T201
        return 2
    command += arguments[only_print:]
    if only_print:
        print("\n".join(command))  # noqa: T201
        return 0
    if run_doctor(os.environ) != 0:
        print("entrypoint: the doctor found what keeps this server from working; see the lines above", file=sys.stderr)  # noqa: T201
        return 1
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
