"""The SDK against a real Triton: one answer over all ways, and the cases in which a raw client falls over."""

import asyncio
import multiprocessing
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from segserve import (
    AsyncClient,
    Client,
    DeadlineExceededError,
    InvalidImageError,
    ModelNotFoundError,
    SegmentationResult,
    SegserveError,
)
from segserve.testing import example_image

from segserve_server.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
PHOTOGRAPH = ROOT / "examples" / "many_hemorrhages.jpg"
MODEL = "fundus_hemorrhage"
PATIENT_S = 120.0


def connect(url: str, **settings: object) -> Client:
    """A client that waits long enough for a busy machine."""
    return Client(url, **{"model": MODEL, "timeout_s": PATIENT_S, **settings})  # type: ignore[arg-type]


def urls(server: EmbeddedServer) -> tuple[str, str]:
    """Both protocols."""
    return server.grpc_url, server.http_url


def test_sync_async_grpc_and_http_give_identical_masks(server: EmbeddedServer) -> None:
    async def segment(url: str) -> SegmentationResult:
        async with AsyncClient(url, model=MODEL, timeout_s=PATIENT_S) as client:
            return await client.segment(PHOTOGRAPH)

    results = []
    for url in urls(server):
        with connect(url) as client:
            results.append(client.segment(PHOTOGRAPH))
        results.append(asyncio.run(segment(url)))
    assert len({result.mask_pngs for result in results}) == 1
    assert len({result.report.source for result in results}) == 1
    kind = results[0].report.classes["hemorrhage"]
    assert results[0].masks["hemorrhage"].sum() == kind.area_px == sum(lesion.area_px for lesion in kind.lesions)


def test_probabilities_come_with_the_reports_geometry(server: EmbeddedServer) -> None:
    with connect(server.grpc_url) as one, connect(server.http_url) as other:
        first, second = one.probability(PHOTOGRAPH), other.probability(PHOTOGRAPH)
        report = one.segment(PHOTOGRAPH).report
    np.testing.assert_array_equal(first.levels, second.levels)
    assert first.geometry == second.geometry
    assert first.geometry.affine == report.geometry
    assert first.geometry.image == report.image


def test_every_kind_of_source_gives_the_same_lesions(server: EmbeddedServer) -> None:
    from PIL import Image

    with connect(server.grpc_url) as client, Image.open(ROOT / "examples" / "no_hemorrhage.jpg") as picture:
        array = np.asarray(picture.convert("RGB"))
        results = [client.segment(source) for source in (array, Image.fromarray(array))]
    assert results[0].mask_pngs == results[1].mask_pngs


def test_models_are_listed_although_the_repository_interface_is_closed(server: EmbeddedServer) -> None:
    for url in urls(server):
        with connect(url, model=None) as client:
            models = {model.name: model for model in client.models()}
            assert models[MODEL] == client.model(MODEL)
        assert set(models) == {MODEL, f"{MODEL}_probability"}
        assert models[MODEL].grid == (1024, 1024)
        assert list(models[MODEL].classes) == ["hemorrhage"]


def test_health_knows_server_and_model(server: EmbeddedServer) -> None:
    with connect(",".join(urls(server))) as client:
        health = client.health()
    assert [(each.live, each.ready, each.model_ready) for each in health.endpoints] == [(True, True, True)] * 2
    with connect(server.grpc_url, model="nope") as client:
        assert client.health().endpoints[0].model_ready is False


def test_bad_images_and_models_are_told_apart_and_a_large_file_is_refused(server: EmbeddedServer) -> None:
    for url in urls(server):
        with connect(url) as client:
            for image, reason in ((b"", "empty"), (b"text", "not a readable"), (bytes(60_000_000), "60000000 bytes")):
                with pytest.raises(InvalidImageError, match=reason) as caught:
                    client.segment(image)
                assert caught.value.attempts == 1
                assert "in ensemble" not in caught.value.reason
            with pytest.raises(ModelNotFoundError):
                client.segment(PHOTOGRAPH, model="nope")
            with pytest.raises(ModelNotFoundError):
                client.segment(PHOTOGRAPH, version="99")
            assert client.segment(example_image()).report


def test_the_server_stops_working_on_a_request_whose_budget_has_ended(server: EmbeddedServer) -> None:
    """Triton looks at cancellation between the steps, so some budgets end inside the last one: try several."""
    before = _cancelled(server)
    image = PHOTOGRAPH.read_bytes()
    with connect(server.grpc_url) as client:
        for attempt in range(100):
            with pytest.raises(DeadlineExceededError):
                client.segment(image, timeout_s=0.03 + 0.01 * (attempt % 5))
            if _cancelled(server) > before:
                break
            time.sleep(0.2)
        assert _cancelled(server) > before
        assert client.segment(image).report


def test_200_threads_share_one_client(server: EmbeddedServer) -> None:
    """Each thread gets the answer to its own image; most send one that is refused, to spare the machine."""
    good = example_image()

    def ask(client: Client, number: int) -> str:
        try:
            result = client.segment(good if number % 20 == 0 else b"x" * number, request_id=f"thread-{number}")
        except InvalidImageError as error:
            return f"{error.request_id} refused"
        return f"{result.request_id} {result.report.image.width}"

    with connect(server.grpc_url) as client, ThreadPoolExecutor(200) as pool:
        outcomes = list(pool.map(lambda number: ask(client, number), range(200)))
    assert outcomes == [f"thread-{n} {'858' if n % 20 == 0 else 'refused'}" for n in range(200)]


def _in_child(client: Client, image: bytes, answers: "multiprocessing.SimpleQueue[str]") -> None:
    try:
        with client:
            answers.put(str(client.segment(image).report.classes["hemorrhage"].area_px))
    except SegserveError as error:
        answers.put(repr(error))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_may_use_its_parents_http_client(server: EmbeddedServer) -> None:
    image = example_image()
    with connect(server.http_url) as client:
        area = client.segment(image).report.classes["hemorrhage"].area_px
        context = multiprocessing.get_context("fork")
        answers: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
        child = context.Process(target=_in_child, args=(client, image, answers))
        child.start()
        child.join(timeout=PATIENT_S)
        assert not child.is_alive()
        assert answers.get() == str(area)
        assert client.segment(image).report.classes["hemorrhage"].area_px == area


def _cancelled(server: EmbeddedServer) -> int:
    """Requests that the server's steps dropped because they had been cancelled."""
    with urllib.request.urlopen(server.metrics_url) as answer:
        lines = answer.read().decode().splitlines()
    return sum(
        int(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("nv_inference_request_failure{") and 'reason="CANCELED"' in line
    )
