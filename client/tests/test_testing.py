"""What segserve.testing promises to those who test with it."""

import doctest

import pytest
from segserve import Client, InvalidImageError, SegmentationResult, testing
from segserve.testing import FakeModel, FakeServer, Step, example_image


def test_the_examples_of_its_docstring_run() -> None:
    outcome = doctest.testmod(testing)
    assert outcome.attempted >= 4
    assert outcome.failed == 0


def test_fixtures_serve_the_recorded_example(
    segserve_server: FakeServer, segserve_client: Client, segserve_result: SegmentationResult
) -> None:
    result = segserve_client.segment(example_image(), request_id="example")
    assert result.report == segserve_result.report
    assert result.mask_pngs == segserve_result.mask_pngs
    assert segserve_server.seen[0].image_size == len(example_image())


def test_any_other_image_gets_one_lesion_per_class(png: bytes) -> None:
    with FakeServer(FakeModel(classes=("a", "b"))).client() as client:
        result = client.segment(png)
    for name in ("a", "b"):
        assert result.report.classes[name].area_px == result.masks[name].sum() > 0


def test_what_is_no_image_is_refused_as_a_server_would(fake: FakeServer) -> None:
    with fake.client() as client:
        for data in (b"", b"text"):
            with pytest.raises(InvalidImageError):
                client.segment(data)


def test_what_was_asked_is_remembered(fake: FakeServer, png: bytes) -> None:
    fake.script(Step())
    with fake.client() as client:
        client.segment(png, request_id="r", version="3", timeout_s=7)
    seen = fake.seen[0]
    assert (seen.model, seen.version, seen.request_id) == ("fundus_hemorrhage", "3", "r")
    assert 6 < seen.timeout_s <= 7


def test_readiness_of_an_unknown_model_is_no(fake: FakeServer) -> None:
    with fake.client(model="nope") as client:
        assert client.health().endpoints[0].model_ready is False
