"""The configuration of Prometheus and its neighbours, as their own programs check it."""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.processes import find_program, run
from tests.deploy.proxy import DEPLOY
from tests.deploy.triton import ROOT

FOLDER = DEPLOY / "prometheus"
RULE_FILES = sorted((FOLDER / "rules").glob("*.yml"))
RUNBOOK = ROOT / "docs" / "operations.md"


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert's rule by its name."""
    groups = [group for path in RULE_FILES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    run(find_program("promtool"), "check", "config", FOLDER / "prometheus.yml")
    run(find_program("promtool"), "check", "rules", *RULE_FILES)


@pytest.mark.parametrize("path", sorted((FOLDER / "tests").glob("*.yml")), ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    run(find_program("promtool"), "test", "rules", path)


def test_each_alert_is_tested_firing_and_silent() -> None:
    outcomes: dict[str, set[str]] = defaultdict(set)
    for path in sorted((FOLDER / "tests").glob("*.yml")):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                outcomes[case["alertname"]].add("fires" if case["exp_alerts"] else "silent")
    assert dict(outcomes) == {name: {"fires", "silent"} for name in alerts()}


def test_each_alert_says_who_is_called_and_has_its_paragraph_in_the_runbook() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in RUNBOOK.read_text().splitlines()
        if line.startswith("#")
    }
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"page", "ticket"}, name
        assert rule["annotations"]["summary"], name
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert name.lower() in headings, f"{name} has no heading in {RUNBOOK.name}"


def test_the_blackbox_exporter_and_mtail_accept_their_configuration() -> None:
    run(find_program("prometheus-blackbox-exporter"), "--config.check", f"--config.file={FOLDER / 'blackbox.yml'}")
    compiled = run(find_program("mtail"), "--compile_only", "--progs", FOLDER / "proxy.mtail", "--logtostderr")
    assert "compile error" not in compiled


def test_the_dashboard_is_what_its_program_writes() -> None:
    written = DEPLOY / "grafana" / "dashboards" / "segserve.json"
    program = "import json, runpy, sys; print(json.dumps(runpy.run_path(sys.argv[1])['build']()))"
    built = run(sys.executable, "-c", program, DEPLOY / "grafana" / "build_dashboard.py")
    assert json.loads(written.read_text()) == json.loads(built), "run python deploy/grafana/build_dashboard.py"


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "segserve.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(set(cells)) == len(cells), "panels overlap"
    sources = {target["datasource"]["uid"] for panel in panels for target in panel.get("targets", [])}
    provisioned = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    assert sources == {source["uid"] for source in provisioned["datasources"]}
