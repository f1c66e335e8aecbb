"""The gate as a user runs it, against a stand-in model: it passes what is good and fails what is slow or errs."""

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import psutil
import pytest

from segserve_server.embedded.procfs import STUB_NAME

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).parent / "repositories" / "loadtest" / "stand_in"

#: Loose enough for any machine: what fails here was made to fail.
OBJECTIVES = """
[steady]
rate_per_s = 5.0
minimum_rate_fraction = 0.5
p95_ms = 4000.0
p99_ms = 8000.0
maximum_error_fraction = 0.0

[burst]
images = 4
p95_s = {burst_p95_s}
maximum_error_fraction = 0.0
"""


def gate_command(
    folder: Path, *, seconds_per_image: float = 0.0, fail_every: int = 0, burst_p95_s: float = 8.0, seconds: float = 4.0
) -> list[str]:
    """The command that runs the gate against a stand-in that is as slow and fails as often as asked for."""
    shutil.copytree(STAND_IN, folder / "repository" / "stand_in")
    config = folder / "repository" / "stand_in" / "config.pbtxt"
    text = config.read_text("utf-8")
    for name, value in (("seconds", str(seconds_per_image)), ("fail_every", str(fail_every))):
        text = text.replace(
            f'key: "{name}" value: {{ string_value: "0" }}', f'key: "{name}" value: {{ string_value: "{value}" }}'
        )
    config.write_text(text, "utf-8")
    (folder / "slo.toml").write_text(OBJECTIVES.format(burst_p95_s=burst_p95_s), "utf-8")
    command = [sys.executable, "-m", "loadtest", "run", "--model", "stand_in", "--seconds", str(seconds)]
    return [
        *command,
        "--repository",
        str(folder / "repository"),
        "--slo",
        str(folder / "slo.toml"),
        "--out",
        str(folder),
    ]


def run_gate(command: list[str]) -> int:
    """Run it to its end; returns the exit code."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    print(done.stdout, done.stderr)
    return done.returncode


def misses(folder: Path) -> set[tuple[str, str]]:
    """Shape and name of the missed objectives in report.json."""
    document = json.loads((folder / "report.json").read_text("utf-8"))
    return {(check["shape"], check["name"]) for check in document["checks"] if not check["passed"]}


def test_a_fast_server_passes_and_every_report_is_written(tmp_path: Path) -> None:
    assert run_gate(gate_command(tmp_path)) == 0
    assert misses(tmp_path) == set()
    document = json.loads((tmp_path / "report.json").read_text("utf-8"))
    steady, burst = document["shapes"]
    assert steady["summary"]["ok"] == steady["summary"]["requests"] > 0
    assert len(burst["bursts_s"]) >= 1
    assert [step["model"] for step in steady["steps"]] == ["stand_in"]
    assert steady["server_peak_memory_mb"] > 0
    assert "objectives met" in (tmp_path / "report.html").read_text("utf-8")
    assert ET.parse(tmp_path / "junit.xml").getroot().findall(".//failure") == []


def test_a_server_that_is_slowed_on_purpose_fails(tmp_path: Path) -> None:
    assert run_gate(gate_command(tmp_path, seconds_per_image=0.5, burst_p95_s=1.0)) == 1
    assert ("burst", "4 images answered, p95") in misses(tmp_path)


def test_a_server_that_errs_on_purpose_fails(tmp_path: Path) -> None:
    assert run_gate(gate_command(tmp_path, fail_every=5)) == 1
    assert ("steady", "error fraction") in misses(tmp_path)
    assert ET.parse(tmp_path / "junit.xml").getroot().findall("testsuite[@name='steady']//failure")


def test_a_server_that_answers_late_is_sent_no_fewer_images(tmp_path: Path) -> None:
    command = gate_command(tmp_path, seconds_per_image=1.0, seconds=8.0)
    assert run_gate([*command, "--shapes", "steady"]) == 1
    (steady,) = json.loads((tmp_path / "report.json").read_text("utf-8"))["shapes"]
    assert steady["summary"]["requests"] >= 0.9 * 5.0 * 8.0


def test_a_run_that_is_ended_leaves_no_process_behind(tmp_path: Path) -> None:
    command = gate_command(tmp_path, seconds=60.0)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            assert running.stdout is not None
            assert any(line.startswith("steady") for line in running.stdout)
            started = psutil.Process(running.pid).children(recursive=True)
            assert any(STUB_NAME.startswith(process.name()) for process in started)
            running.terminate()
            assert running.wait(timeout=60) == 130
        finally:
            running.kill()
    assert [process for process in started if process.is_running()] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "grpc://127.0.0.1:1"], "does not serve"),
        (["--slo", "none.toml"], "cannot read the objectives"),
        (["--repository", "nowhere"], "no model repository"),
    ],
)
def test_a_run_that_cannot_be_made_says_why_in_one_line(arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", "loadtest", "run", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
