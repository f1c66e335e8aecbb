"""The real Prometheus, blackbox exporter and mtail with the shipped configuration; only addresses are a test's own."""

import contextlib
import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.processes import LOOPBACK, Running, find_program, free_port, listens
from tests.deploy.proxy import DEPLOY, Proxy
from tests.deploy.triton import Triton

SHIPPED = DEPLOY / "prometheus"


@dataclass(frozen=True)
class Monitoring:
    """A running Prometheus."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query; AssertionError if Prometheus refuses it."""
        answer = self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def firing(self) -> dict[str, dict[str, str]]:
        """The labels of each firing alert, by its name."""
        alerts = self._get("/api/v1/alerts")["data"]["alerts"]
        return {alert["labels"]["alertname"]: alert["labels"] for alert in alerts if alert["state"] == "firing"}

    def targets(self) -> dict[str, set[str]]:
        """The health of the targets of each job."""
        found: dict[str, set[str]] = {}
        for target in self._get("/api/v1/targets")["data"]["activeTargets"]:
            found.setdefault(target["labels"]["job"], set()).add(target["health"])
        return found

    def metrics(self) -> set[str]:
        """The names of all metrics."""
        return set(self._get("/api/v1/label/__name__/values")["data"])

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            return json.load(response)


@contextlib.contextmanager
def watching(triton: Triton, proxy: Proxy, folder: Path) -> Iterator[Monitoring]:
    """Watch a server and its proxy from free loopback ports."""
    configuration = folder / "prometheus"
    shutil.copytree(SHIPPED, configuration)
    mtail, blackbox, prometheus = free_port(), free_port(), free_port()
    models = sorted(path.parent.name for path in triton.repository.glob("*/config.pbtxt"))
    prober = {"prober": f"{LOOPBACK}:{blackbox}"}
    targets = {
        "triton": [{"targets": [f"{LOOPBACK}:{triton.ports.metrics}"]}],
        "proxy": [{"targets": [f"{LOOPBACK}:{mtail}"]}],
        "models": [
            {
                "targets": [f"http://{LOOPBACK}:{triton.ports.http}/v2/models/{model}/ready" for model in models],
                "labels": prober,
            }
        ],
        "tls": [{"targets": [f"{proxy.url}/v2/health/ready"], "labels": prober}],
    }
    for name, groups in targets.items():
        (configuration / "targets" / f"{name}.yml").write_text(yaml.safe_dump(groups))
    commands = {
        "mtail": (
            mtail,
            [
                *("--progs", str(configuration / "proxy.mtail"), "--logs", f"udp://{LOOPBACK}:{proxy.log_port}"),
                *("--address", LOOPBACK, "--port", str(mtail), "--logtostderr", "--emit_prog_label=false"),
            ],
        ),
        "prometheus-blackbox-exporter": (
            blackbox,
            [f"--config.file={configuration / 'blackbox.yml'}", f"--web.listen-address={LOOPBACK}:{blackbox}"],
        ),
        "prometheus": (
            prometheus,
            [
                f"--config.file={configuration / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={LOOPBACK}:{prometheus}",
            ],
        ),
    }
    with contextlib.ExitStack() as running:
        for program, (port, arguments) in commands.items():
            log = folder / f"{program}.log"
            process = running.enter_context(Running([find_program(program), *arguments], log=log))
            process.wait_until(lambda port=port: listens(port), f"{program} listens")  # type: ignore[misc]
        yield Monitoring(f"http://{LOOPBACK}:{prometheus}")
