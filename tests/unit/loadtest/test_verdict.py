"""What passes and what does not."""

import pytest

from loadtest.samples import Outcome, Sample
from loadtest.shapes import Shape
from loadtest.slo import Objectives, load_objectives
from loadtest.verdict import OverloadResult, best_rate, check_overload, check_result
from tests.unit.loadtest.results import make_result


@pytest.fixture(name="objectives")
def shipped_objectives() -> Objectives:
    return load_objectives()


@pytest.mark.parametrize("shape", [Shape.STEADY, Shape.SOAK, Shape.BURST])
def test_a_server_that_keeps_the_objectives_passes(shape: Shape, objectives: Objectives) -> None:
    checks = check_result(make_result(shape), objectives)
    assert checks
    assert all(check.passed for check in checks)


@pytest.mark.parametrize(
    ("shape", "changes", "missed"),
    [
        (Shape.STEADY, {"rate_per_s": 9.0}, {"rate answered"}),
        (Shape.STEADY, {"latency_ms": 501.0}, {"latency p95"}),
        (Shape.STEADY, {"latency_ms": 1500.0}, {"rate answered", "latency p95", "latency p99"}),
        (Shape.STEADY, {"failures": 1}, {"error fraction"}),
        (Shape.STEADY, {"rejections": 1}, {"error fraction"}),
        (Shape.BURST, {"burst_s": 1.01}, {"10 images answered, p95"}),
        (Shape.BURST, {"failures": 1}, {"10 images answered, p95", "error fraction"}),
    ],
)
def test_each_objective_can_be_missed(
    shape: Shape, changes: dict[str, float], missed: set[str], objectives: Objectives
) -> None:
    checks = check_result(make_result(shape, **changes), objectives)  # type: ignore[arg-type]
    assert {check.name for check in checks if not check.passed} == missed


def test_a_shape_without_objectives_is_not_judged() -> None:
    assert check_result(make_result(Shape.STEADY), Objectives(None, None, None)) == []


def test_overload_passes_when_the_rest_is_rejected_at_the_entrance(objectives: Objectives) -> None:
    assert objectives.overload is not None
    beyond = make_result(Shape.OVERLOAD, rate_per_s=30.0, rejections=400)
    overload = OverloadResult(make_result(Shape.RAMP), beyond, make_result(rate_per_s=4.0))
    assert [check.sentence for check in check_overload(overload, objectives.overload) if not check.passed] == []


@pytest.mark.parametrize(
    ("beyond", "after", "missed"),
    [
        ({"rejections": 500}, {}, {"goodput"}),
        ({"rejections": 300, "failures": 1}, {}, {"failures other than rejections"}),
        ({"rejections": 300, "wasted": 60}, {}, {"work thrown away"}),
        ({"rejections": 300}, {"latency_ms": 500.0}, {"recovery"}),
    ],
)
def test_each_overload_objective_can_be_missed(
    beyond: dict[str, int], after: dict[str, float], missed: set[str], objectives: Objectives
) -> None:
    assert objectives.overload is not None
    overload = OverloadResult(
        make_result(Shape.RAMP),
        make_result(Shape.OVERLOAD, rate_per_s=30.0, **beyond),
        make_result(rate_per_s=4.0, **after),  # type: ignore[arg-type]
    )
    checks = check_overload(overload, objectives.overload)
    assert {check.name for check in checks if not check.passed} == missed


def test_best_rate_counts_good_answers_in_the_busiest_window() -> None:
    slow = [Sample("grpc", float(second), 0.0, Outcome.OK) for second in range(10)]
    busy = [Sample("grpc", 20.0 + i / 10, 0.0, Outcome.OK) for i in range(50)]
    lost = [Sample("grpc", 20.0, 0.0, Outcome.REJECTED)] * 100
    assert best_rate([*slow, *busy, *lost]) == 10.0
