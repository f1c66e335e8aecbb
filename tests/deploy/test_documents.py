"""What the operator's pages name exists: files, services, settings, sections."""

import re
from pathlib import Path

import pytest

from tests.deploy.proxy import DEPLOY
from tests.deploy.test_compose import rendered
from tests.deploy.triton import ROOT

PAGES = [ROOT / "docs" / "operations.md", ROOT / "docs" / "security.md", DEPLOY / "README.md"]

#: What the steps make, and folders that hold nothing until then.
_MADE = ("deploy/secrets",)


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_path_under_deploy_exists(page: Path) -> None:
    named = set(re.findall(r"(?<![\w/])(deploy/[\w./-]*\w)", page.read_text()))
    assert [path for path in sorted(named) if not path.startswith(_MADE) and not (ROOT / path).exists()] == []


def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        name, _, section = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if section else []
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not section or section in anchors, target


def test_every_service_of_a_compose_command_exists() -> None:
    services = set(rendered("gpu,next,tracing")["services"]) | set(rendered("cpu,next-cpu")["services"])
    lines = [line for page in PAGES for line in page.read_text().splitlines() if "docker compose -f deploy" in line]
    assert len(lines) > 10
    named = {word for line in lines for word in re.findall(r"\b(?:triton|next)-(?:gpu|cpu)\b|\bengine\b", line)}
    assert named <= services


def test_every_kubernetes_folder_that_is_applied_has_a_kustomization() -> None:
    for page in PAGES:
        for folder in re.findall(r"kubectl apply -k ([\w./-]*\w)", page.read_text()):
            assert (ROOT / folder / "kustomization.yaml").exists(), folder
