"""Writes dashboards/segserve.json, the Grafana dashboard. Change this file, run it, commit both.

python deploy/grafana/build_dashboard.py
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parent / "dashboards" / "segserve.json"

_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3


@dataclass(frozen=True)
class Panel:
    """A graph.

    Attributes:
        title: what is seen.
        help: how to read it.
        unit: Grafana's name of the unit.
        queries: PromQL by legend.
    """

    title: str
    help: str
    unit: str
    queries: dict[str, str]


def quantiles(of: str) -> dict[str, str]:
    """p50, p95 and p99 of the proxy's histogram for a route."""
    rate = f'sum by (le) (rate(segserve_request_seconds_bucket{{route="{of}"}}[5m]))'
    return {f"p{percent}": f"histogram_quantile({percent / 100:g}, {rate})" for percent in (50, 95, 99)}


def per_request(metric: str) -> dict[str, str]:
    """Mean seconds of one of Triton's duration counters per request of each model."""
    seconds = f"sum by (model) (rate({metric}[1m])) / sum by (model) (rate(nv_inference_request_success[1m])) / 1e6"
    return {"{{model}}": seconds}


ROWS: dict[str, tuple[Panel, ...]] = {
    "Service: what callers see": (
        Panel(
            "Throughput",
            "Inference requests per second at the proxy, by how they ended. 'busy' was turned away, 'refused' was the "
            "caller's fault (not an image, no permission), 'failed' was ours.",
            "reqps",
            {"{{outcome}}": 'sum by (outcome) (rate(segserve_requests_total{route="infer"}[1m]))'},
        ),
        Panel(
            "Latency",
            "Answered requests, the image's transfer included. Objective: 99 % under 1 s.",
            "s",
            quantiles("infer"),
        ),
        Panel(
            "Error budget burn",
            "How many times faster than allowed the budgets are used up. Above 14.4 somebody is paged.",
            "none",
            {
                "errors, 1 h": "segserve:error_ratio:rate1h / 0.005",
                "slow, 1 h": "segserve:slow_ratio:rate1h / 0.01",
                "errors, 5 min": "segserve:error_ratio:rate5m / 0.005",
                "slow, 5 min": "segserve:slow_ratio:rate5m / 0.01",
            },
        ),
        Panel(
            "Rejections",
            "Requests turned away because the entrance queue was full or a caller came too often.",
            "reqps",
            {"{{protocol}}": 'sum by (protocol) (rate(segserve_requests_total{route="infer",outcome="busy"}[1m]))'},
        ),
        Panel(
            "Traffic",
            "Bytes per second that come in.",
            "Bps",
            {"{{protocol}}": "sum by (protocol) (rate(segserve_request_bytes_total[1m]))"},
        ),
        Panel(
            "Ready",
            "1: in service. A model that is down takes its whole pipeline with it.",
            "none",
            {"{{model}}": 'min by (model) (probe_success{job="segserve-models"})'},
        ),
    ),
    "Pipeline: where the time goes": (
        Panel(
            "Waiting per step",
            "Mean time in the step's queue. Grows first at the bottleneck.",
            "s",
            per_request("nv_inference_queue_duration_us"),
        ),
        Panel(
            "Computing per step",
            "Mean time in the model itself.",
            "s",
            per_request("nv_inference_compute_infer_duration_us"),
        ),
        Panel(
            "Copying per step",
            "Mean time that inputs and outputs take to and from the model's process or GPU.",
            "s",
            {
                "{{model}} in": per_request("nv_inference_compute_input_duration_us")["{{model}}"],
                "{{model}} out": per_request("nv_inference_compute_output_duration_us")["{{model}}"],
            },
        ),
        Panel(
            "Step latency",
            "Triton's own quantiles over the last minute, of the slowest server.",
            "µs",
            {
                "{{model}} p50": 'max by (model) (nv_inference_request_summary_us{quantile="0.5"})',
                "{{model}} p95": 'max by (model) (nv_inference_request_summary_us{quantile="0.95"})',
                "{{model}} p99": 'max by (model) (nv_inference_request_summary_us{quantile="0.99"})',
            },
        ),
        Panel(
            "Batch size",
            "Mean images per execution. On a GPU under load it should approach the preferred sizes.",
            "none",
            {"{{model}}": "segserve:batch:mean5m"},
        ),
        Panel(
            "Requests waiting",
            "In each step's queue now. The entrance is full at 64 per server.",
            "none",
            {"{{model}}": "sum by (model) (nv_inference_pending_request_count)"},
        ),
        Panel(
            "Failures in Triton",
            "By model and Triton's reason. BACKEND: a model process or engine does not answer. OTHER, of an ensemble, "
            "mixes refused images, rejections and internal errors (2.51 counts each twice).",
            "reqps",
            {"{{model}} {{reason}}": "sum by (model, reason) (rate(nv_inference_request_failure[1m])) > 0"},
        ),
    ),
    "Machine": (
        Panel(
            "GPU utilisation",
            "Share of time with a kernel running.",
            "percentunit",
            {"{{gpu_uuid}}": "nv_gpu_utilization"},
        ),
        Panel(
            "GPU memory",
            "Engines, their workspace and CUDA graphs.",
            "bytes",
            {"{{gpu_uuid}} used": "nv_gpu_memory_used_bytes", "{{gpu_uuid}} total": "nv_gpu_memory_total_bytes"},
        ),
        Panel(
            "GPU power",
            "Against its limit.",
            "watt",
            {"{{gpu_uuid}}": "nv_gpu_power_usage", "{{gpu_uuid}} limit": "nv_gpu_power_limit"},
        ),
        Panel("CPU utilisation", "All cores.", "percentunit", {"{{instance}}": "nv_cpu_utilization"}),
        Panel(
            "Memory",
            "Of the machine; /dev/shm counts.",
            "bytes",
            {"{{instance}} used": "nv_cpu_memory_used_bytes", "{{instance}} total": "nv_cpu_memory_total_bytes"},
        ),
        Panel(
            "Certificate",
            "Until the proxy's certificate ends.",
            "s",
            {"{{instance}}": 'probe_ssl_earliest_cert_expiry{job="segserve-tls"} - time()'},
        ),
    ),
}


def build() -> dict[str, Any]:
    """The dashboard as Grafana's JSON model."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": top, "w": _WIDTH * _COLUMNS, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        )
        top += 1
        for number, panel in enumerate(row):
            x, y = number % _COLUMNS * _WIDTH, top + number // _COLUMNS * _HEIGHT
            panels.append(_draw(panel, len(panels) + 1, {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT}))
        top += -(-len(row) // _COLUMNS) * _HEIGHT
    return {
        "uid": "segserve",
        "title": "segserve",
        "tags": ["segserve", "triton"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "panels": panels,
    }


def _draw(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + n), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
        for n, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    }


if __name__ == "__main__":
    DASHBOARD.write_text(json.dumps(build(), indent=1, ensure_ascii=False) + "\n")
