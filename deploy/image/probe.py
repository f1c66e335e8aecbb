#!/usr/bin/env python3
"""Is this Triton in service? The health check of compose and all three probes of Kubernetes.

    probe.py [--end-if-dead]

Exit code 0: live, ready, each model ready, no model process dead. Otherwise 1 and a sentence on standard error.
A Python stub that died stays a zombie child of tritonserver, and servers before 26.04 still call themselves ready:
hence the look at /proc. ``--end-if-dead`` then asks tritonserver to end, for docker, which restarts containers that
end but not those that are unhealthy. Reads SEGSERVE_REPOSITORY, SEGSERVE_BIND and SEGSERVE_HTTP_PORT as entrypoint.py
does, and SEGSERVE_PID, tritonserver's process id [1: it takes the entrypoint's place].
Standard library only.
"""

import http.client
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

#: /proc/PID/stat cuts names to 15 characters.
STUB_NAME = "triton_python_backend_stub"[:15]

_TIMEOUT_S = 4.0


@dataclass(frozen=True)
class Finding:
    """What is wrong.

    Attributes:
        text: a sentence.
        is_dead_stub: whether a model process has died, which tritonserver does not mend.
    """

    text: str
    is_dead_stub: bool = False


def dead_stubs(server: int, proc: Path = Path("/proc")) -> list[int]:
    """The model processes of the tritonserver with this process id that have died and were not waited for."""
    dead = []
    for stat in proc.glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue  # it ended meanwhile
        # proc(5): pid (name) state parent ...; the name may hold parentheses.
        name = text[text.index("(") + 1 : text.rindex(")")]
        state, parent = text[text.rindex(")") + 2 :].split()[:2]
        if name == STUB_NAME and state == "Z" and int(parent) == server:
            dead.append(int(stat.parent.name))
    return dead


def look(*, server: int, host: str, port: int, repository: Path) -> Finding | None:
    """The first thing that is wrong, or None."""
    if dead := dead_stubs(server):
        return Finding(f"{len(dead)} model process(es) of tritonserver died", is_dead_stub=True)
    models = sorted(path.parent.name for path in repository.glob("*/config.pbtxt"))
    if not models:
        return Finding(f"no models in {repository}")
    for path in ("/v2/health/live", "/v2/health/ready", *(f"/v2/models/{model}/ready" for model in models)):
        if (answer := _get(host, port, path)) != "200":
            return Finding(f"{path} answers {answer}")
    return None


def _get(host: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return f"nothing ({error})"
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    """Look once; the exit code."""
    bind = os.environ.get("SEGSERVE_BIND", "127.0.0.1")
    server = int(os.environ.get("SEGSERVE_PID", "1"))
    finding = look(
        server=server,
        host="127.0.0.1" if bind == "0.0.0.0" else bind,
        port=int(os.environ.get("SEGSERVE_HTTP_PORT", "8000")),
        repository=Path(os.environ.get("SEGSERVE_REPOSITORY", "/models")),
    )
    if finding is None:
        return 0
    print(f"probe: {finding.text}", file=sys.stderr)  # noqa: T201
    if finding.is_dead_stub and arguments == ["--end-if-dead"]:
        os.kill(server, signal.SIGTERM)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
