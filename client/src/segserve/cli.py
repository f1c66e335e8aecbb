"""The command line: ``segserve segment | compare | models | health``."""

import argparse
import sys
from collections.abc import Sequence

from segserve import _cli_compare, _cli_connect, _cli_segment, _cli_server
from segserve._cli_output import ExitCode, exit_code
from segserve.errors import SegserveError

_EPILOG = """exit codes:
  0    all went well
  1    some images failed, or the answer is no
  2    an argument or file is wrong; nothing was sent
  3    no server, or it is not ready, overloaded, refusing or failing
  130  interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except SegserveError as error:
        print(f"segserve: {error}", file=sys.stderr)
        return int(exit_code(error))
    except KeyboardInterrupt:
        print("segserve: interrupted", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segserve",
        description="Segment medical images on a Triton server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    segment = commands.add_parser("segment", help="segment images and write overlays, masks and reports")
    _cli_segment.add_arguments(segment)
    segment.set_defaults(run=_cli_segment.run)

    compare = commands.add_parser("compare", help="compare two saved results: two models, or two visits")
    _cli_compare.add_arguments(compare)
    compare.set_defaults(run=_cli_compare.run)

    models = commands.add_parser("models", help="list the models a server has")
    models.set_defaults(run=_cli_server.run_models)

    health = commands.add_parser("health", help="say whether servers are ready")
    _cli_server.add_health_arguments(health)
    health.set_defaults(run=_cli_server.run_health)

    for command in (segment, models, health):
        _cli_connect.add_arguments(command)
    return parser
