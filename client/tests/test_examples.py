"""The examples do what they say."""

import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from segserve import Client, OverloadedError
from segserve.testing import FakeServer, Step, example_image

from client.tests.loopback import GrpcLoopback

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_web_service_answers_findings_and_fitting_status_codes(fake: FakeServer, png: bytes) -> None:
    with TestClient(load("fastapi_endpoint").make_app(fake.async_client(timeout_s=0.3))) as web:
        answer = web.post("/findings", content=png, headers={"x-request-id": "r-7"})
        assert answer.json() == {"hemorrhage": {"lesions": 1, "area_px": 44}}
        assert fake.seen[0].request_id == "r-7"
        assert web.post("/findings", content=b"text").status_code == 422
        fake.script(*[OverloadedError("Exceeds maximum queue size", retry_after_s=3)] * 100)
        busy = web.post("/findings", content=png)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "3")
        fake._script.clear()
        fake.script(Step(delay_s=60))
        assert web.post("/findings", content=png).status_code == 504
        assert web.get("/ready").status_code == 200
        fake.take_down()
        assert web.post("/findings", content=png).status_code == 503
        assert web.get("/ready").status_code == 503


def test_the_web_service_is_found_by_uvicorn(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGSERVE_URL", "grpc://127.0.0.1:1")
    assert load("fastapi_endpoint").app.title == "Findings"


def test_the_batch_job_keeps_folders_and_can_be_repeated(
    fake: FakeServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    (folder / "broken.png").write_bytes(b"text")
    with GrpcLoopback(fake) as loopback:
        monkeypatch.setattr(sys, "argv", ["batch_folder.py", loopback.url, str(folder), str(results)])
        assert load("batch_folder").main() == 1
        assert "3 segmented, 1 failed" in capsys.readouterr().out
        assert (results / "sub" / "c.report.json").is_file()
        (folder / "broken.png").unlink()
        assert load("batch_folder").main() == 0
        assert "0 segmented, 0 failed" in capsys.readouterr().out


def test_the_notebook_runs_and_draws(fake: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("agg")
    (tmp_path / "eye.jpg").write_bytes(example_image())
    monkeypatch.setenv("PHOTOGRAPH", str(tmp_path / "eye.jpg"))
    monkeypatch.setenv("FIGURE", str(tmp_path / "findings.png"))
    with GrpcLoopback(fake) as loopback:
        monkeypatch.setenv("SEGSERVE_URL", loopback.url)
        runpy.run_path(str(EXAMPLES / "notebook.py"))
    with Image.open(tmp_path / "findings.png") as figure:
        assert len(np.unique(np.asarray(figure))) > 50


def _instance(pixels: np.ndarray, **changes: object) -> Dataset:  # type: ignore[type-arg]
    ds = Dataset()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
    ds.SOPInstanceUID = generate_uid()
    ds.PatientName = "Doe^Jane"
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB"
    ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    ds.PixelData = pixels.tobytes()
    for name, value in changes.items():
        setattr(ds, name, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def test_the_dicom_store_segments_what_it_is_sent(
    fake: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load("dicom_store")
    pixels = np.full((30, 40, 3), 90, np.uint8)
    good = _instance(pixels)
    cases = [
        (good, module.SUCCESS),
        (_instance(pixels, PhotometricInterpretation="YBR_FULL"), module.SUCCESS),
        (_instance(pixels, NumberOfFrames=2), module.CANNOT_UNDERSTAND),
        (_instance(np.zeros((30, 80, 3), np.uint8), BitsAllocated=16, Columns=40), module.CANNOT_UNDERSTAND),
    ]
    with fake.client(timeout_s=0.5) as client:
        store = module.Store(client, tmp_path)
        server = module.make_ae().start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store.handle)]
        )
        try:
            sender = AE()
            sender.add_requested_context(good.SOPClassUID, ExplicitVRLittleEndian)
            association = sender.associate("127.0.0.1", server.server_address[1])
            assert association.is_established
            assert [association.send_c_store(ds).Status for ds, _ in cases] == [status for _, status in cases]
            fake.take_down()
            assert association.send_c_store(good).Status == module.OUT_OF_RESOURCES
            association.release()
        finally:
            server.shutdown()
    assert (tmp_path / f"{good.SOPInstanceUID}.report.json").is_file()
    assert "Doe" not in repr(fake.seen)
    assert isinstance(client, Client)
