"""The reports of a session: for people, for programs, for CI."""

from pathlib import Path

from loadtest.reports.html import render_html
from loadtest.reports.json_report import render_json
from loadtest.reports.junit import render_junit
from loadtest.session import Session

__all__ = ["write_reports"]


def write_reports(session: Session, folder: Path) -> Path:
    """Write report.html, report.json and junit.xml into ``folder``; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    page.write_text(render_html(session), "utf-8")
    (folder / "report.json").write_text(render_json(session), "utf-8")
    (folder / "junit.xml").write_text(render_junit(session), "utf-8")
    return page
