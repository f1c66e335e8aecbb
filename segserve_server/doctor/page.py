"""The doctor's page, as text and as JSON."""

import json
import textwrap
from collections.abc import Sequence

from segserve_server.doctor.findings import Finding, Status, is_healthy

_LABELS = {Status.GREEN: "ok", Status.NOTE: "note", Status.RED: "FIX"}
_COLORS = {Status.GREEN: "\033[32m", Status.NOTE: "\033[2m", Status.RED: "\033[31;1m"}
_RESET = "\033[0m"
_WIDTH = 110


def as_text(findings: Sequence[Finding], *, color: bool) -> str:
    """A line per finding, what to do beneath the red ones, and the sum."""
    margin = max(len(finding.topic) for finding in findings) + 9
    lines = []
    for finding in findings:
        label = f"{_LABELS[finding.status]:4}"
        if color:
            label = f"{_COLORS[finding.status]}{label}{_RESET}"
        text = _wrap(finding.text, margin)
        lines.append(f"  {label}  {finding.topic:{margin - 8}}{text}")
        if finding.advice:
            lines.append(" " * margin + "-> " + _wrap(finding.advice, margin + 3))
    red = sum(finding.status is Status.RED for finding in findings)
    return "\n".join([*lines, "", f"{red} to fix" if red else "this machine can serve"])


def as_json(findings: Sequence[Finding]) -> str:
    """An object with `healthy` and `findings`, each with topic, status, text and advice."""
    entries = [
        {"topic": finding.topic, "status": finding.status.value, "text": finding.text, "advice": finding.advice}
        for finding in findings
    ]
    return json.dumps({"healthy": is_healthy(findings), "findings": entries}, indent=2)


def _wrap(text: str, margin: int) -> str:
    return f"\n{' ' * margin}".join(
        textwrap.wrap(text, _WIDTH - margin, break_long_words=False, break_on_hyphens=False) or [""]
    )
