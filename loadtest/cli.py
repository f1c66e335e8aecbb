"""``python -m loadtest run | bench | peers``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from segserve import SegserveError

from loadtest import slo
from loadtest.bench.bench import QUICK, Effort, run_bench
from loadtest.bench.tables import render_json, render_tables
from loadtest.errors import LoadTestError
from loadtest.paths import DEFAULT_MODEL, REPOSITORY
from loadtest.peers.compare import compare, render
from loadtest.reports import write_reports
from loadtest.session import run_session
from loadtest.shapes import Shape
from loadtest.target import guess_metrics_url, open_target
from segserve_server.embedded import EmbeddedServerError

EXIT_MISSED = 1
EXIT_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 objectives met, 1 missed, 2 the run could not be made."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (LoadTestError, EmbeddedServerError, SegserveError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description="Load tests and benchmarks of the server.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_bench(commands)
    _add_peers(commands)
    return parser


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = commands.add_parser(
        "run",
        help="run shapes of load and hold them against the objectives",
        description="Start the embedded server, or take the one at --url, send it load, and write report.html, "
        "report.json and junit.xml. Exit code 0: objectives met; 1: missed; 2: the run could not be made.",
    )
    run.add_argument(
        "--url",
        action="append",
        default=[],
        help="a running server, grpc://host:8001 or http://host:8000; give it twice for both. Default: start one",
    )
    run.add_argument("--metrics-url", help="Triton's metrics page; default: port 8002 of the first URL's host")
    run.add_argument("--no-metrics", action="store_true", help="the metrics page cannot be reached from here")
    run.add_argument("--model", default=DEFAULT_MODEL, help="the ensemble; default: %(default)s")
    run.add_argument("--repository", type=Path, default=REPOSITORY, help="of the server that is started")
    run.add_argument("--variant", default="cpu", help="of the server that is started; default: %(default)s")
    run.add_argument("--slo", type=Path, default=slo.DEFAULT_FILE, help="the objectives; default: loadtest/slo.toml")
    run.add_argument(
        "--shapes",
        type=_shapes,
        default=(Shape.STEADY, Shape.BURST),
        metavar="SHAPE,...",
        help=f"of {', '.join(shape.value for shape in Shape)}; default: steady,burst",
    )
    run.add_argument("--seconds", type=_positive, default=30.0, help="of each shape; default: 30")
    run.add_argument("--out", type=Path, default=Path("out/loadtest"), help="for the reports; default: %(default)s")
    run.set_defaults(run=_run)


def _add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bench = commands.add_parser(
        "bench",
        help="the server against its own ceiling",
        description="Print tables of what the server reaches beside what the same work reaches in one process, and "
        "write bench.md and bench.json.",
    )
    bench.add_argument("--quick", action="store_true", help="shorter runs, fewer concurrencies: some five minutes")
    bench.add_argument("--out", type=Path, default=Path("out/bench"), help="default: %(default)s")
    bench.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    bench = run_bench(QUICK if options.quick else Effort(), tell=_tell)
    options.out.mkdir(parents=True, exist_ok=True)
    text = render_tables(bench)
    (options.out / "bench.md").write_text(text, "utf-8")
    (options.out / "bench.json").write_text(render_json(bench), "utf-8")
    print(text)
    return 0


def _add_peers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    peers = commands.add_parser(
        "peers",
        help="the server beside what a user would otherwise pick",
        description="FastAPI, LitServe, BentoML and Triton with the imaging in the client, with the same engine and "
        "imaging, each in an environment of its own below .cache/peers. Prints a table and writes peers.md.",
    )
    peers.add_argument("--seconds", type=_positive, default=8.0, help="of each run; default: 8")
    peers.add_argument("--turns", type=int, default=3, help="runs of each server, in turn; default: 3")
    peers.add_argument("--out", type=Path, default=Path("out/bench"), help="default: %(default)s")
    peers.set_defaults(run=_peers)


def _peers(options: argparse.Namespace) -> int:
    text = render(compare(seconds=options.seconds, turns=options.turns, tell=_tell))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "peers.md").write_text(text, "utf-8")
    print(text)
    return 0


def _run(options: argparse.Namespace) -> int:
    objectives = slo.load_objectives(options.slo)
    urls = tuple(options.url)
    metrics_url = options.metrics_url or (guess_metrics_url(urls) if urls else None)
    with open_target(
        urls,
        model=options.model,
        metrics_url=None if options.no_metrics else metrics_url,
        repository=options.repository,
        variant=options.variant,
    ) as target:
        session = run_session(target, options.shapes, objectives, seconds=options.seconds, tell=_tell)
    written = write_reports(session, options.out)
    for check in session.checks:
        print(f"{'pass' if check.passed else 'MISS'}  {check.sentence}")
    if not session.checks:
        print(f"nothing to hold the run against: {options.slo} has no table for these shapes")
    print(f"{'objectives met' if session.passed else 'objectives not met'}; see {written}")
    return 0 if session.passed or not session.checks else EXIT_MISSED


def _shapes(text: str) -> tuple[Shape, ...]:
    try:
        return tuple(Shape(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(s.value for s in Shape)}") from error


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
