"""A whole run: shape after shape against one target, held against the objectives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from segserve import Client

from loadtest.machine import describe_machine, load_average
from loadtest.photographs import SizeClass, load_mixture
from loadtest.run import ShapeResult, run_shape
from loadtest.shapes import Plan, Shape
from loadtest.slo import Objectives
from loadtest.target import Target
from loadtest.verdict import Check, OverloadResult, best_rate, check_overload, check_result

_RAMP_FROM_TO = 2.5  # the ramp ends at this multiple of the steady rate
_AFTER_FRACTION = 0.4  # of saturation: normal load after an overload
_AFTER_S = 20.0


@dataclass(frozen=True, slots=True)
class Session:
    """Everything that the reports show."""

    title: str
    started: datetime
    machine: str
    load_before: float
    results: list[ShapeResult]
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether every check passed, and there was one."""
        return bool(self.checks) and all(check.passed for check in self.checks)


def run_session(
    target: Target,
    shapes: Sequence[Shape],
    objectives: Objectives,
    *,
    seconds: float,
    tell: Callable[[str], None],
) -> Session:
    """Run ``shapes`` one after another, ``seconds`` each. ``tell`` gets a line now and then."""
    started, load_before = datetime.now(UTC), load_average()
    _warm_up(target)
    results: list[ShapeResult] = []
    checks: list[Check] = []
    for shape in shapes:
        tell(f"{shape.value}: {seconds:.0f} s")
        if shape is Shape.OVERLOAD:
            overload = _run_overload(target, objectives, seconds=seconds, tell=tell)
            results += [overload.ramp, overload.beyond, overload.after]
            checks += check_overload(overload, objectives.overload) if objectives.overload else []
        else:
            result = run_shape(_plan(shape, objectives, seconds), target)
            results.append(result)
            checks += check_result(result, objectives)
    title = f"{target.model} at {', '.join(target.urls)}"
    return Session(title, started, describe_machine(), load_before, results, checks)


def _plan(shape: Shape, objectives: Objectives, seconds: float) -> Plan:
    rate = objectives.steady.rate_per_s if objectives.steady else 10.0
    images = objectives.burst.images if objectives.burst else 10
    return Plan(shape, seconds, rate_per_s=rate * (_RAMP_FROM_TO if shape is Shape.RAMP else 1), burst_images=images)


def _run_overload(
    target: Target, objectives: Objectives, *, seconds: float, tell: Callable[[str], None]
) -> OverloadResult:
    ramp = run_shape(_plan(Shape.RAMP, objectives, seconds), target)
    peak = max(0.2, best_rate(ramp.samples))
    times = objectives.overload.times_saturation if objectives.overload else 3.0
    tell(f"overload: saturated at {peak:.1f} images/s, now {times:.1f} times as many")
    beyond = run_shape(Plan(Shape.OVERLOAD, seconds, rate_per_s=times * peak), target)
    after = run_shape(Plan(Shape.STEADY, _AFTER_S, rate_per_s=_AFTER_FRACTION * peak), target)
    return OverloadResult(ramp, beyond, after)


def _warm_up(target: Target) -> None:
    for url in target.urls:
        with Client(url, model=target.model) as client:
            for photograph in load_mixture()[: len(SizeClass)]:
                client.segment(photograph)
