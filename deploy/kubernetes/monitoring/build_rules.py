"""Writes prometheus_rule.yaml: deploy/prometheus/rules as the object that the Prometheus operator reads.

python deploy/kubernetes/monitoring/build_rules.py     (needs PyYAML; run it after a change of the rules)
"""

from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).resolve().parents[2] / "prometheus" / "rules"
OBJECT = Path(__file__).with_name("prometheus_rule.yaml")
_HEAD = "# Written by build_rules.py from deploy/prometheus/rules: change those.\n"


def build() -> dict[str, Any]:
    """The PrometheusRule with the groups of every rule file, in the files' order."""
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "segserve", "labels": {"app.kubernetes.io/part-of": "segserve"}},
        "spec": {"groups": groups},
    }


if __name__ == "__main__":
    OBJECT.write_text(_HEAD + yaml.safe_dump(build(), sort_keys=False, width=120))
