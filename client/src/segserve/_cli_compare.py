"""``segserve compare``."""

import argparse
from dataclasses import asdict
from pathlib import Path

from segserve._cli_output import ExitCode, format_table, write_json, write_line
from segserve._compare import Comparison, compare
from segserve._result import SegmentationResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``segserve compare``."""
    parser.add_argument("before", type=Path, metavar="BEFORE", help="a .report.json that segment wrote")
    parser.add_argument("after", type=Path, metavar="AFTER", help="the other one, on the same grid")
    parser.add_argument("--min-iou", type=float, default=0.0, metavar="X", help="lesions that share less differ")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output, for machines")


def run(arguments: argparse.Namespace) -> ExitCode:
    """Compare two saved results."""
    before, after = SegmentationResult.load(arguments.before), SegmentationResult.load(arguments.after)
    comparison = compare(before, after, min_iou=arguments.min_iou)
    if arguments.json:
        write_json(asdict(comparison))
    else:
        _write_table(comparison)
    return ExitCode.OK


def _write_table(comparison: Comparison) -> None:
    rows = [
        (
            each.name,
            f"{each.dice:.3f}",
            f"{each.iou:.3f}",
            each.area_before_px,
            each.area_after_px,
            len(each.matched),
            len(each.gained),
            len(each.lost),
        )
        for each in comparison.classes.values()
    ]
    header = ("class", "Dice", "IoU", "area before px", "area after px", "matched", "gained", "lost")
    write_line(format_table(header, rows))
    for names, where in ((comparison.only_before, "BEFORE"), (comparison.only_after, "AFTER")):
        if names:
            write_line(f"only in {where}: {', '.join(names)}")
