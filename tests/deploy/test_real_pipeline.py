"""The shipped pipeline through the whole way: SDK, TLS, proxy, Triton, three steps, and back."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from segserve import Client, Tls
from segserve.contract import REPORT

from tests.deploy.callers import RAW, ask
from tests.deploy.proxy import Callers, Proxy
from tests.deploy.triton import ROOT, Triton

MODEL = "fundus_hemorrhage"
PHOTOGRAPH = ROOT / "examples" / "many_hemorrhages.jpg"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, callers: Callers) -> Iterator[tuple[Triton, Proxy]]:
    """The shipped model repository, started on the CPU as the container starts it, and the proxy in front of it."""
    folder = tmp_path_factory.mktemp("real")
    with (
        Triton(ROOT / "model_repository", log=folder / "log", with_doctor=True) as triton,
        Proxy(folder, callers, [triton.target()]) as proxy,
    ):
        yield triton, proxy


@pytest.fixture
def front(real: tuple[Triton, Proxy]) -> Proxy:
    """The proxy in front of the shipped pipeline."""
    return real[1]


@pytest.fixture(scope="module")
def tls(callers: Callers) -> Tls:
    """What an integrator gives the SDK."""
    certificate, key = callers.certificate()
    return Tls(ca_file=callers.authority, certificate_file=certificate, key_file=key)


def test_the_log_begins_with_the_doctors_page(real: tuple[Triton, Proxy]) -> None:
    log = real[0].read_log()
    doctor, _, server = log.partition("this machine can serve")
    assert "tritonserver" in doctor
    assert "repository" in doctor
    assert "successfully loaded" not in doctor
    assert f"successfully loaded '{MODEL}'" in server


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_the_sdk_segments_a_photograph_through_the_proxy(front: Proxy, tls: Tls, scheme: str) -> None:
    with Client(f"{scheme}://localhost:{front.port}", model=MODEL, tls=tls, timeout_s=30) as client:
        result = client.segment(PHOTOGRAPH)
    image = result.report.image
    assert result.masks["hemorrhage"].shape == (image.height, image.width)
    assert int(result.masks["hemorrhage"].sum()) == result.report.classes["hemorrhage"].area_px


def test_both_protocols_give_the_same_report(front: Proxy, tls: Tls) -> None:
    reports = []
    for scheme in ("grpcs", "https"):
        with Client(f"{scheme}://localhost:{front.port}", model=MODEL, tls=tls, timeout_s=30) as client:
            reports.append(client.segment(PHOTOGRAPH).report)
    assert reports[0] == reports[1]


def test_the_plain_http_request_of_the_contract_works_through_the_proxy(front: Proxy, callers: Callers) -> None:
    path = f"/v2/models/{MODEL}/infer"
    answer = ask(front, callers, path, method="POST", body=PHOTOGRAPH.read_bytes(), headers=RAW)
    assert answer.status == 200
    header = json.loads(answer.body[: int(answer.headers["inference-header-content-length"])])
    assert REPORT in [output["name"] for output in header["outputs"]]


def test_what_is_no_image_is_the_callers_fault(front: Proxy, callers: Callers) -> None:
    answer = ask(front, callers, f"/v2/models/{MODEL}/infer", method="POST", body=b"no image", headers=RAW)
    assert (answer.status, MODEL in answer.error) == (http.client.BAD_REQUEST, True)


def test_the_models_tell_their_contract_through_the_proxy(front: Proxy, callers: Callers) -> None:
    answer = ask(front, callers, f"/v2/models/{MODEL}/config")
    assert json.loads(answer.body)["parameters"]["contract_version"]["string_value"] == "1.0"


def test_the_prober_watches_every_shipped_model() -> None:
    targets = (ROOT / "deploy" / "prometheus" / "targets" / "models.yml").read_text()
    models = sorted(path.parent.name for path in Path(ROOT / "model_repository").glob("*/config.pbtxt"))
    assert (
        sorted(line.split("/models/")[1].split("/")[0] for line in targets.splitlines() if "/models/" in line) == models
    )
