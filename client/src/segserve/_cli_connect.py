"""How the command line reaches a server."""

import argparse
import os
from pathlib import Path

from segserve._client import Client
from segserve._config import Tls

_DEFAULT_URL = "grpc://127.0.0.1:8001"
_DEFAULT_MODEL = "fundus_hemorrhage"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every command has."""
    group = parser.add_argument_group("server")
    group.add_argument(
        "--url",
        default=os.environ.get("SEGSERVE_URL", _DEFAULT_URL),
        help=f"grpc://, grpcs://, http:// or https://, several with commas (SEGSERVE_URL; default: {_DEFAULT_URL})",
    )
    group.add_argument(
        "--model",
        default=os.environ.get("SEGSERVE_MODEL", _DEFAULT_MODEL),
        help=f"name of the model (SEGSERVE_MODEL; default: {_DEFAULT_MODEL})",
    )
    group.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds for each image (default: 30)")
    group.add_argument("--ca-file", type=Path, metavar="PEM", help="who signed the server's certificate")
    group.add_argument("--cert-file", type=Path, metavar="PEM", help="own certificate, for mutual TLS")
    group.add_argument("--key-file", type=Path, metavar="PEM", help="its key")
    parser.add_argument("--json", action="store_true", help="JSON lines on standard output, for machines")


def open_client(arguments: argparse.Namespace) -> Client:
    """A client as the options say; a token is taken from SEGSERVE_TOKEN, so that no process list shows it."""
    files = (arguments.ca_file, arguments.cert_file, arguments.key_file)
    return Client(
        arguments.url,
        model=arguments.model,
        timeout_s=arguments.timeout,
        tls=Tls(*files) if any(files) else None,
        token=os.environ.get("SEGSERVE_TOKEN"),
    )
