"""``segserve segment``."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from segserve._batch import Item
from segserve._cli_connect import open_client
from segserve._cli_output import ExitCode, format_table, is_server_trouble, write_json, write_line, write_note
from segserve._formats import Format, FormatWriter, parse_formats
from segserve._images import find_images
from segserve._journal import Journal
from segserve._progress import ProgressBar
from segserve._report import Report
from segserve._source import Named
from segserve.errors import InvalidInputError

_MAX_TABLE_ROWS = 200


@dataclass(frozen=True)
class Job:
    """One image and the name, under the output folder, of what is written for it."""

    path: Path
    target: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``segserve segment``."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image file, or folder that is searched for images")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where results go; made when missing")
    names = ",".join(each.value for each in Format)
    parser.add_argument(
        "--format",
        default="overlay,mask,json",
        type=parse_formats,
        metavar="LIST",
        help=f"comma-separated, of {names} (default: overlay,mask,json)",
    )
    parser.add_argument("--concurrency", type=int, default=8, metavar="N", help="images in flight (default: 8)")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="record what is done; run again to go on there")
    parser.add_argument("--stop-on-error", action="store_true", help="end at the first image that fails")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no table")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Segment images and write what was asked for."""
    jobs = list(collect_jobs([Path(path) for path in arguments.paths]))
    check_targets(jobs)
    if arguments.journal and {Format.COCO, Format.CSV} & set(arguments.format):
        raise InvalidInputError(
            "coco and csv hold all images in one file, which a later run cannot continue; with --journal write json "
            "and mask, and convert those afterwards (docs/sdk.md shows how)"
        )
    writer = FormatWriter(arguments.out, arguments.format)
    with open_client(arguments) as client:
        journal = Journal(arguments.journal, model=arguments.model) if arguments.journal else None
        show_bar = sys.stderr.isatty() and not arguments.quiet and not arguments.json
        bar = ProgressBar() if show_bar else None
        items = client.segment_many(
            [Named(str(job.path), job.path) for job in jobs],
            concurrency=arguments.concurrency,
            stop_on_error=arguments.stop_on_error,
            journal=journal,
            progress=bar or False,
        )
        try:
            outcome = _write_all(items, jobs, writer, arguments)
        finally:
            items.close()
            writer.close()
            if bar is not None:
                bar.close()
    skipped = journal.skipped if journal else 0
    return _conclude(outcome, arguments, skipped=skipped)


@dataclass
class _Outcome:
    rows: list[tuple[object, ...]]
    failures: list[Item]
    done: int = 0


def _write_all(items: Iterable[Item], jobs: list[Job], writer: FormatWriter, arguments: argparse.Namespace) -> _Outcome:
    outcome = _Outcome([], [])
    for item in items:
        job = jobs[item.index]
        files: list[Path] = []
        if item.result is not None:
            try:
                files = writer.write(item.result, job.target)
            except InvalidInputError as error:  # this photograph cannot be drawn on; the others can
                item = replace(item, result=None, error=error)
        if item.error is not None:
            outcome.failures.append(item)
            if arguments.json:
                write_json({"image": str(job.path), "error": type(item.error).__name__, "message": str(item.error)})
            continue
        outcome.done += 1
        report = item.unwrap().report
        if arguments.json:
            write_json({"image": str(job.path), "files": [str(f) for f in files], "report": report.to_dict()})
        elif len(outcome.rows) < _MAX_TABLE_ROWS:
            outcome.rows += _table_rows(job.path.name, report)
    return outcome


def _table_rows(image: str, report: Report) -> Iterator[tuple[object, ...]]:
    size = f"{report.image.width} x {report.image.height}"
    warnings = ", ".join(report.warnings) or "-"
    for name, finding in report.classes.items():
        largest = finding.lesions[0].area_px if finding.lesions else 0
        percent = f"{100 * finding.area_fraction:.2f} %"
        yield image, size, name, finding.lesion_count, finding.area_px, percent, largest, warnings


def _conclude(outcome: _Outcome, arguments: argparse.Namespace, *, skipped: int) -> ExitCode:
    if not arguments.json and not arguments.quiet:
        if outcome.rows:
            header = ("image", "size", "class", "lesions", "area px", "of field", "largest px", "warnings")
            write_line(format_table(header, outcome.rows))
        if outcome.done > _MAX_TABLE_ROWS:
            write_line(f"(the first {_MAX_TABLE_ROWS} lines of {outcome.done} images)")
        before = f", {skipped} done before according to the journal" if skipped else ""
        write_line(
            f"{outcome.done} images segmented, {len(outcome.failures)} failed{before}; results in {arguments.out}"
        )
    for item in outcome.failures:
        write_note(f"{item.name}: {item.error}")
    if not outcome.failures:
        return ExitCode.OK
    errors = [item.error for item in outcome.failures if item.error is not None]
    if outcome.done == 0 and all(is_server_trouble(error) for error in errors):
        return ExitCode.SERVER
    return ExitCode.SOME_FAILED


def collect_jobs(paths: list[Path]) -> Iterator[Job]:
    """Files as they are, folders by what they hold, subfolders kept. Raises InvalidInputError for a missing path."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise InvalidInputError(f"there is no file or folder {', '.join(missing)}")
    for path in paths:
        if not path.is_dir():
            yield Job(path, Path(path.stem))
            continue
        images = list(find_images(path))
        others = sum(1 for each in path.rglob("*") if each.is_file()) - len(images)
        if others:
            write_note(f"{path}: {others} files that are no images, or hidden, are left out")
        if not images:
            raise InvalidInputError(f"the folder {path} holds no image")
        for image in images:
            yield Job(image, image.relative_to(path).with_suffix(""))


def check_targets(jobs: list[Job]) -> None:
    """Raises InvalidInputError when two images would be written to the same files."""
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.target in seen:
            raise InvalidInputError(
                f"{seen[job.target]} and {job.path} would both be written as {job.target}.*; segment them into "
                "different folders"
            )
        seen[job.target] = job.path
