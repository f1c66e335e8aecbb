"""Every build_engines command in the documentation is one that the command line takes."""

import re
import shlex
from pathlib import Path

import pytest

from build_engines.cli import make_parser
from tests.unit.build_engines.conftest import ROOT

_COMMAND = re.compile(r"python -m build_engines ((?:build|parity|compose|import) [^`\n#]+)")
COMMANDS = [
    (page.name, command.strip())
    for page in sorted((ROOT / "docs").glob("*.md"))
    for command in _COMMAND.findall(page.read_text("utf-8"))
    if "..." not in command
]


def test_there_are_commands_to_try() -> None:
    assert {Path(page).stem for page, _ in COMMANDS} >= {"engines", "gpu-runner"}


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_documented_command_parses(page: str, command: str) -> None:
    assert make_parser().parse_args(shlex.split(command)), page
