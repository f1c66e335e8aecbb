"""Each report says whether the objectives were met, and why not."""

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loadtest.reports import write_reports
from loadtest.session import Session
from loadtest.shapes import Shape
from loadtest.slo import load_objectives
from loadtest.verdict import check_result
from tests.unit.loadtest.results import make_result


@pytest.fixture(name="session")
def session_with_one_miss() -> Session:
    objectives = load_objectives()
    results = [make_result(Shape.STEADY, latency_ms=700.0), make_result(Shape.BURST)]
    checks = [check for result in results for check in check_result(result, objectives)]
    return Session("eye at grpc://here", datetime(2026, 1, 2, tzinfo=UTC), "2 cores", 0.5, results, checks)


def test_json_holds_verdict_and_figures(session: Session, tmp_path: Path) -> None:
    write_reports(session, tmp_path)
    document = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert document["passed"] is False
    assert [check["name"] for check in document["checks"] if not check["passed"]] == ["latency p95"]
    assert document["shapes"][0]["summary"]["p95_ms"] == 700.0
    assert document["shapes"][0]["steps"][0]["compute_ms"] == pytest.approx(100.0)


def test_junit_counts_the_miss_as_a_failure(session: Session, tmp_path: Path) -> None:
    write_reports(session, tmp_path)
    suites = ET.parse(tmp_path / "junit.xml").getroot().findall("testsuite")
    assert {suite.get("name"): suite.get("failures") for suite in suites} == {"steady": "1", "burst": "0"}
    (failure,) = suites[0].findall("testcase/failure")
    assert failure.get("message") == "steady: latency p95 700 ms, wanted at most 500 ms"


def test_the_page_needs_nothing_from_elsewhere(session: Session, tmp_path: Path) -> None:
    page = write_reports(session, tmp_path).read_text("utf-8")
    assert "objectives missed" in page
    assert page.count("<svg") == 7
    assert "src=" not in page
    assert "<script" not in page
