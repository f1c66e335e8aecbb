"""``segserve-server serve | check | doctor``."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from segserve_server.doctor import as_json, as_text, gather_facts, judge
from segserve_server.doctor.findings import is_healthy
from segserve_server.embedded import EmbeddedServer, EmbeddedServerError, Ports, State
from segserve_server.embedded.server_log import is_noise
from segserve_server.embedded.stop_signals import stopping_on_signals
from segserve_server.repository.check import check_repository

DEFAULT_REPOSITORY = Path("model_repository")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 fine, 1 something is wrong, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        exit_code = int(options.run(options))
        sys.stdout.flush()  # here, where a reader that has gone is understood, not at the interpreter's end
        return exit_code
    except EmbeddedServerError as error:
        print(f"segserve-server: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has gone (`... | head`); the interpreter would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="segserve-server", description="What runs on the server side of segserve.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    ports = argparse.ArgumentParser(add_help=False)
    defaults = Ports()
    for name, port in defaults.named():
        ports.add_argument(f"--{name}-port", type=int, default=port, metavar="PORT", help="default: %(default)s")

    serve = commands.add_parser(
        "serve",
        parents=[_repository_options("cpu"), ports],
        help="serve a model repository on this machine",
        description="Start a Triton from the nvidia-pytriton wheel on the loopback address and keep it running until "
        "Ctrl-C or SIGTERM. For development, tests and demos; production is the NGC container.",
    )
    serve.add_argument(
        "--grace",
        type=int,
        default=5,
        metavar="SECONDS",
        help="for requests in flight at the end; default: %(default)s",
    )
    serve.set_defaults(run=_serve)

    check = commands.add_parser(
        "check",
        parents=[_repository_options("cpu")],
        help="check that the files of a model repository agree",
        description="Print each problem of a model repository, one a line; exit code 1 if there is one.",
    )
    check.set_defaults(run=_check)

    doctor = commands.add_parser(
        "doctor",
        parents=[_repository_options(None), ports],
        help="say whether this machine can serve, and what to do where it cannot",
        description="Print a page on Python, tritonserver, CPU, GPU, shared memory, ports and the model repository; "
        "exit code 1 if something must be put right.",
    )
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(run=_doctor)
    return parser


def _repository_options(variant: str | None) -> argparse.ArgumentParser:
    """Which repository and variant; `variant` is the default, None leaves it to what is found on this machine."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--repository", type=Path, default=DEFAULT_REPOSITORY, help="default: %(default)s")
    default = variant or "config.pbtxt in NVIDIA's container, cpu elsewhere"
    options.add_argument("--variant", default=variant, help=f"what configs/VARIANT.pbtxt says; default: {default}")
    return options


def _check(options: argparse.Namespace) -> int:
    problems = check_repository(options.repository, options.variant)
    for problem in problems:
        print(f"{problem.where}: {problem.message}")
    if not problems:
        print(f"{options.repository}: no problem found (variant {options.variant})")
    return 1 if problems else 0


def _doctor(options: argparse.Namespace) -> int:
    facts = gather_facts(options.repository, variant=options.variant, ports=_ports(options))
    findings = judge(facts)
    if options.json:
        print(as_json(findings))
    else:
        print(as_text(findings, color=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return 0 if is_healthy(findings) else 1


def _ports(options: argparse.Namespace) -> Ports:
    return Ports(http=options.http_port, grpc=options.grpc_port, metrics=options.metrics_port)


def _serve(options: argparse.Namespace) -> int:
    problems = check_repository(options.repository, options.variant)
    if problems:
        for problem in problems:
            print(f"{problem.where}: {problem.message}", file=sys.stderr)
        print(f"segserve-server: {options.repository} cannot be served before this is put right", file=sys.stderr)
        return 1
    server = EmbeddedServer(
        options.repository,
        variant=options.variant,
        ports=_ports(options),
        log=_print_log,
        grace_s=options.grace,
    )
    with stopping_on_signals(server, say=_print_log):
        server.start()
        if server.state is State.READY:
            print(f"ready: {server.grpc_url} {server.http_url} metrics {server.metrics_url}", flush=True)
        server.wait()
    return 0


def _print_log(line: str) -> None:
    if not is_noise(line):
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
