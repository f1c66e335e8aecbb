"""What an operator is shown and told: metrics arrive, the dashboard has data, a dead model process raises an alert."""

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from tritonclient.utils import InferenceServerException

from tests.deploy.callers import grpc_client, grpc_infer, infer
from tests.deploy.monitoring import SHIPPED, Monitoring, watching
from tests.deploy.processes import wait_for
from tests.deploy.proxy import DEPLOY, Callers, Proxy
from tests.deploy.repository import lay_tiny
from tests.deploy.triton import Triton

#: Exposed only where there is a GPU: Triton's documentation, "Metrics", section "GPU Metrics".
GPU_METRICS = {
    "nv_gpu_utilization",
    "nv_gpu_memory_total_bytes",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_power_usage",
    "nv_gpu_power_limit",
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, callers: Callers) -> Iterator[tuple[Triton, Proxy, Monitoring]]:
    """A Triton of its own, its proxy and a Prometheus that has seen some traffic of every kind."""
    folder = tmp_path_factory.mktemp("watched")
    with (
        Triton(lay_tiny(folder / "models", version=1), log=folder / "log") as triton,
        Proxy(folder, callers, [triton.target()]) as proxy,
        watching(triton, proxy, folder) as monitoring,
    ):
        _send_some(proxy, callers)
        wait_for(lambda: "up" in monitoring.targets().get("segserve-triton", set()), "the first scrape")
        _send_too_many(proxy, callers)
        for _ in range(2):  # rates need several scrapes
            _send_some(proxy, callers)
            seen = len(monitoring.query("nv_inference_request_success[5m]")[0]["values"])
            wait_for(
                lambda seen=seen: len(monitoring.query("nv_inference_request_success[5m]")[0]["values"]) > seen,  # type: ignore[misc]
                "another scrape",
            )
        yield triton, proxy, monitoring


def _send_some(proxy: Proxy, callers: Callers) -> None:
    with grpc_client(proxy, callers) as client:
        grpc_infer(client)
        with pytest.raises(InferenceServerException):
            grpc_infer(client, b"bad")
        with pytest.raises(InferenceServerException):
            grpc_infer(client, b"broken")
    infer(proxy, callers)
    infer(proxy, callers, b"broken")
    infer(proxy, callers, client=None)


def _send_too_many(proxy: Proxy, callers: Callers) -> None:
    """More at once than the entrance's queue of four takes."""

    def over_grpc() -> None:
        with grpc_client(proxy, callers) as client, contextlib.suppress(InferenceServerException):
            grpc_infer(client, b"sleep 0.3")

    with ThreadPoolExecutor(24) as pool:
        for _ in range(12):
            pool.submit(over_grpc)
            pool.submit(infer, proxy, callers, b"sleep 0.3")


def test_every_target_is_up(watched: tuple[Triton, Proxy, Monitoring]) -> None:
    _, _, monitoring = watched
    jobs = {job["job_name"] for job in yaml.safe_load((SHIPPED / "prometheus.yml").read_text())["scrape_configs"]}
    wait_for(lambda: monitoring.targets() == {job: {"up"} for job in jobs}, "every target is up")
    assert {s["metric"]["model"]: s["value"][1] for s in monitoring.query('probe_success{job="segserve-models"}')} == {
        "echo": "1",
        "echo_back": "1",
        "echo_front": "1",
    }


def test_the_outcome_of_each_request_is_counted(watched: tuple[Triton, Proxy, Monitoring]) -> None:
    _, _, monitoring = watched

    def outcomes() -> set[tuple[str, str]]:
        samples = monitoring.query('segserve_requests_total{route="infer"}')
        return {(sample["metric"]["protocol"], sample["metric"]["outcome"]) for sample in samples}

    expected = {(protocol, end) for protocol in ("grpc", "http") for end in ("ok", "refused", "failed", "busy")}
    wait_for(lambda: outcomes() == expected, f"the outcomes {expected}", log=lambda: str(outcomes()))


def test_triton_itself_cannot_tell_rejections_from_refused_images(watched: tuple[Triton, Proxy, Monitoring]) -> None:
    """Why the objectives rest on the proxy. If this changes with a newer server, rules/triton.yml can say more."""
    _, _, monitoring = watched
    failures = monitoring.query("nv_inference_request_failure > 0")
    assert {(sample["metric"]["model"], sample["metric"]["reason"]) for sample in failures} == {("echo", "OTHER")}


def _dashboard_queries() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "segserve.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def test_every_query_of_the_dashboard_finds_data(watched: tuple[Triton, Proxy, Monitoring]) -> None:
    _, _, monitoring = watched
    queries = _dashboard_queries()
    assert len(queries) > 20
    expected = [query for query in queries if not any(metric in query for metric in GPU_METRICS)]
    empty: list[str] = []

    def all_have_data() -> bool:
        empty[:] = [query for query in expected if not monitoring.query(query)]
        return not empty

    wait_for(all_have_data, "data for every panel", timeout_s=20, log=lambda: "\n".join(empty))
    for query in set(queries) - set(expected):
        monitoring.query(query)  # Prometheus understands it


def test_rules_and_dashboard_name_no_metric_that_nothing_exposes(
    watched: tuple[Triton, Proxy, Monitoring],
) -> None:
    _, _, monitoring = watched
    files = [yaml.safe_load(path.read_text()) for path in sorted((SHIPPED / "rules").glob("*.yml"))]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    used = set(
        re.findall(
            r"\b(?:nv|segserve|probe)[_:][a-zA-Z0-9_:]+", " ".join([*_dashboard_queries(), *(r["expr"] for r in rules)])
        )
    )
    recorded = {rule["record"] for rule in rules if "record" in rule}
    assert used - monitoring.metrics() - GPU_METRICS - recorded == set()


def test_a_killed_model_process_raises_the_alert_and_fails_the_probe(
    watched: tuple[Triton, Proxy, Monitoring], callers: Callers
) -> None:
    triton, proxy, monitoring = watched
    assert "SegserveDeadStub" not in monitoring.firing()
    os.kill(triton.stub_pids("echo_front")[0], signal.SIGKILL)
    wait_for(lambda: triton.probe().returncode == 1, "the probe notices")
    assert "model process" in triton.probe().stderr

    def fires() -> bool:
        infer(proxy, callers)
        return "SegserveDeadStub" in monitoring.firing()

    wait_for(fires, "the alert fires", timeout_s=60)
    alert = monitoring.firing()["SegserveDeadStub"]
    assert (alert["model"], alert["severity"]) == ("echo_front", "page")

    # What docker's health check does: the server ends, so that the restart policy starts another one.
    assert triton.probe("--end-if-dead").returncode == 1
    wait_for(lambda: "Signal (15) received" in triton.read_log(), "tritonserver begins to end", log=triton.read_log)
