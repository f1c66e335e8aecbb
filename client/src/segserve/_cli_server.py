"""``segserve models`` and ``segserve health``."""

import argparse
from dataclasses import asdict

from segserve._cli_connect import open_client
from segserve._cli_output import ExitCode, format_table, write_json, write_line


def add_health_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``segserve health``."""
    parser.add_argument("--wait", type=float, metavar="S", help="wait up to this many seconds until a server is ready")


def run_models(arguments: argparse.Namespace) -> ExitCode:
    """List the models a server has."""
    with open_client(arguments) as client:
        models = client.models()
    if arguments.json:
        for model in models:
            write_json({**asdict(model), "kind": model.kind.value})
        return ExitCode.OK
    rows = [
        (
            model.name,
            model.kind.value,
            ", ".join(model.classes),
            f"{model.grid[0]} x {model.grid[1]}",
            ", ".join(model.versions),
            model.contract_version,
        )
        for model in models
    ]
    write_line(format_table(("model", "answers with", "classes", "grid", "versions", "contract"), rows))
    return ExitCode.OK


def run_health(arguments: argparse.Namespace) -> ExitCode:
    """Say whether servers are ready."""
    with open_client(arguments) as client:
        if arguments.wait is not None:
            client.wait_ready(timeout_s=arguments.wait)
        health = client.health(timeout_s=min(arguments.timeout, 10.0))
    if arguments.json:
        write_json({**asdict(health), "ready": health.ready})
    else:
        rows = [
            (
                each.endpoint,
                _yes(each.live),
                _yes(each.ready),
                "-" if each.model_ready is None else _yes(each.model_ready),
                each.server_version or "-",
                each.problem or "-",
            )
            for each in health.endpoints
        ]
        model = f"model {health.model}" if health.model else "model"
        write_line(format_table(("server", "live", "ready", model, "Triton", "problem"), rows))
    return ExitCode.OK if health.ready else ExitCode.SERVER


def _yes(value: object) -> str:
    return "yes" if value else "no"
