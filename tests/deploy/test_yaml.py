"""Every YAML file reads as it looks: above all no key twice, which the readers silently accept."""

import json

from tests.deploy.processes import find_tool, run
from tests.deploy.proxy import DEPLOY
from tests.deploy.triton import ROOT

RULES = {
    "extends": "default",
    "rules": {
        "line-length": "disable",
        "document-start": "disable",
        "truthy": "disable",  # `on:` of a workflow
        "braces": {"max-spaces-inside": 1},
        "comments": {"min-spaces-from-content": 1},
        "indentation": "disable",  # written files have their own
    },
}


def test_yamllint_finds_nothing() -> None:
    files = sorted([*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml"), *(ROOT / ".github").rglob("*.yml")])
    assert len(files) > 25
    run(find_tool("yamllint"), "--strict", "-d", json.dumps(RULES), *files)
