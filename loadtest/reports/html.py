"""report.html: one page that needs nothing else, for people."""

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from loadtest.reports import charts
from loadtest.run import ShapeResult
from loadtest.session import Session
from loadtest.shapes import Shape
from loadtest.verdict import Check

_TITLES = {
    Shape.STEADY: "Steady open load",
    Shape.BURST: "Bursts",
    Shape.RAMP: "Ramp to saturation",
    Shape.OVERLOAD: "Beyond saturation",
    Shape.SOAK: "Soak",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One shape's part of the page."""

    title: str
    result: ShapeResult
    figures: list[Markup]


def render_html(session: Session) -> str:
    """The page; charts are inline SVG."""
    environment = Environment(loader=PackageLoader("loadtest.reports", "."), autoescape=True, undefined=StrictUndefined)
    environment.filters["bar_percent"] = bar_percent
    template = environment.get_template("report.html.j2")
    limits = {check.shape: check.limit for check in session.checks if check.name == "latency p95"}
    sections = [_section(result, limits.get(result.plan.shape.value), session.checks) for result in session.results]
    return template.render(session=session, sections=sections)


def bar_percent(check: Check) -> float:
    """How much of a bar a check fills: its limit is at two thirds, so that a miss can be seen as one."""
    if check.limit <= 0:
        return 0.0 if check.value <= 0 else 100.0
    return min(100.0, 66.7 * check.value / check.limit)


def _section(result: ShapeResult, limit_ms: float | None, checks: list[Check]) -> Section:
    figures = [charts.latency_over_time(result, limit_ms=limit_ms)]
    if result.bursts:
        limit_s = next((check.limit for check in checks if check.name.startswith(f"{result.plan.burst_images} ")), None)
        figures.insert(0, charts.bursts(result, limit_s=limit_s))
    if result.steps:
        figures.append(charts.steps(result))
    if len(result.readings) > 2:
        figures.append(charts.steps_over_time(result))
    return Section(_TITLES[result.plan.shape], result, [Markup(figure) for figure in figures])
