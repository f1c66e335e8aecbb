"""report.json: every figure of a session, for programs."""

import json
import math
from dataclasses import asdict
from typing import Any

from loadtest.run import ShapeResult
from loadtest.session import Session


def render_json(session: Session) -> str:
    """The session as indented JSON; times in UTC, a time that never came as null."""
    document = {
        "schema_version": "1.0",
        "title": session.title,
        "started": session.started.isoformat(timespec="seconds"),
        "machine": session.machine,
        "load_average_before": session.load_before,
        "passed": session.passed,
        "checks": [
            {**asdict(check), "value": check.value if math.isfinite(check.value) else None, "passed": check.passed}
            for check in session.checks
        ],
        "shapes": [_describe(result) for result in session.results],
    }
    return json.dumps(document, indent=2) + "\n"


def _describe(result: ShapeResult) -> dict[str, Any]:
    return {
        "shape": result.plan.shape.value,
        "rate_sent_per_s": len(result.samples) / result.seconds,
        "seconds": result.seconds,
        "summary": asdict(result.summary),
        "bursts_s": [burst.seconds for burst in result.bursts],
        "steps": [asdict(step) for step in result.steps],
        "server_cpu_s": result.cpu_s,
        "server_peak_memory_mb": result.peak_memory_mb,
        "errors": sorted({sample.error for sample in result.samples if sample.error})[:20],
    }
