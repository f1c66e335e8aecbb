"""The workflows of the repository's host: valid, least privileged, and running what the Makefile has."""

import re
from pathlib import Path

import pytest
import yaml

from tests.deploy.processes import find_tool, run
from tests.deploy.triton import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_it_is_what_the_published_schema_says(workflow: Path) -> None:
    run(find_tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", workflow)


def test_zizmor_finds_no_security_problem(workflow: Path) -> None:
    run(find_tool("zizmor"), "--offline", "--no-progress", "--persona", "regular", workflow)


def test_each_make_target_exists(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    steps = [step for job in yaml.safe_load(workflow.read_text())["jobs"].values() for step in job["steps"]]
    used = {match for step in steps for match in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))}
    assert used <= targets


def test_compose_is_what_the_published_schema_says() -> None:
    run(find_tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "deploy" / "compose.yaml")
