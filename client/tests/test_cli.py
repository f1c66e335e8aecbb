"""The command line, against a server on a real socket."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from segserve import InvalidInputError, OverloadedError, SegmentationResult, cli
from segserve._progress import Progress, format_progress
from segserve.testing import FakeServer, Step, encode_mask, example_image, example_result

from client.tests.loopback import GrpcLoopback, HttpLoopback

Loopback = GrpcLoopback | HttpLoopback


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("left.jpg", "right.jpg"):
        (folder / name).write_bytes(example_image())
    return folder


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_segment_writes_overlay_mask_and_report_and_prints_a_table(
    loopback: Loopback, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("segment", photographs / "left.jpg", photographs / "right.jpg", "--out", out, "--url", loopback.url) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        f"{name}.{kind}" for name in ("left", "right") for kind in ("hemorrhage.png", "overlay.png", "report.json")
    ]
    with Image.open(out / "left.hemorrhage.png") as mask, Image.open(out / "left.overlay.png") as overlay:
        assert mask.size == overlay.size == (858, 570)
    printed = capsys.readouterr().out
    assert "left.jpg" in printed
    assert "2 images segmented, 0 failed" in printed


def test_formats_can_be_chosen_and_subfolders_are_kept(
    loopback: Loopback, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "sub").mkdir()
    (photographs / "sub" / "left.jpg").write_bytes(example_image())
    (photographs / "notes.txt").write_text("")
    out = tmp_path / "out"
    assert run("segment", photographs, "--out", out, "--url", loopback.url, "--format", "coco,csv,geojson") == 0
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        "coco.json",
        "left.geojson",
        "lesions.csv",
        "right.geojson",
        "sub/left.geojson",
    ]
    coco = json.loads((out / "coco.json").read_text())
    assert [image["id"] for image in coco["images"]] == [1, 2, 3]
    assert [annotation["id"] for annotation in coco["annotations"]] == [1, 2, 3]
    assert len(list(csv.DictReader((out / "lesions.csv").read_text().splitlines()))) == 3
    assert "1 files that are no images, or hidden, are left out" in capsys.readouterr().err


def test_json_lines_for_machines(
    loopback: Loopback, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "broken.png").write_bytes(b"text")
    assert run("segment", photographs, "--out", tmp_path / "out", "--url", loopback.url, "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["image"]).name for line in lines] == ["broken.png", "left.jpg", "right.jpg"]
    assert lines[0]["error"] == "InvalidImageError"
    assert lines[1]["report"]["classes"][0]["lesion_count"] == 1
    assert all(Path(file).is_file() for file in lines[1]["files"])


def test_a_failed_image_is_named_and_the_others_are_written(
    loopback: Loopback, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "broken.png").write_bytes(b"text")
    assert run("segment", photographs, "--out", tmp_path / "out", "--url", loopback.url) == 1
    captured = capsys.readouterr()
    assert "2 images segmented, 1 failed" in captured.out
    assert "broken.png: the bytes are not a readable image" in captured.err


def test_a_photograph_that_cannot_be_drawn_on_does_not_end_the_run(
    loopback: Loopback, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_for_left(result: SegmentationResult, **options: object) -> Image.Image:
        if "left" in result.name:
            raise InvalidInputError("cannot decode")
        return Image.new("RGB", (1, 1))

    monkeypatch.setattr(SegmentationResult, "overlay", fail_for_left)
    assert run("segment", photographs, "--out", tmp_path / "out", "--url", loopback.url) == 1
    assert (tmp_path / "out" / "right.overlay.png").is_file()


def test_a_full_disk_ends_the_run_before_the_journal_says_done(
    loopback: Loopback,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("segserve._formats._write_one", full)
    journal = tmp_path / "j"
    assert run("segment", photographs, "--out", tmp_path / "o", "--url", loopback.url, "--journal", journal) == 2
    assert "No space left" in capsys.readouterr().err
    assert len(journal.read_text().splitlines()) == 1


def test_a_journal_goes_on_where_a_run_ended(
    loopback: Loopback, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("segment", photographs, "--out", tmp_path / "out", "--url", loopback.url, "--journal", tmp_path / "j")
    assert run(*arguments) == 0
    assert run(*arguments) == 0
    assert "0 images segmented, 0 failed, 2 done before" in capsys.readouterr().out


def test_stop_on_error_ends_with_that_error(
    fake: FakeServer, loopback: Loopback, photographs: Path, tmp_path: Path
) -> None:
    fake.script(OverloadedError("Exceeds maximum queue size"))
    (photographs / "a.png").write_bytes(b"text")
    code = run("segment", photographs, "--out", tmp_path / "o", "--url", loopback.url, "--stop-on-error")
    assert code == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("segment", "nowhere.jpg", "--out", "OUT"), "there is no file or folder nowhere.jpg"),
        (("segment", "EMPTY", "--out", "OUT"), "holds no image"),
        (("segment", "LEFT", "LEFT", "--out", "OUT"), "would both be written"),
        (("segment", "LEFT", "--out", "LEFT"), "cannot write to"),
        (("segment", "LEFT", "--out", "OUT", "--journal", "J", "--format", "coco"), "cannot continue"),
        (("segment", "LEFT", "--out", "OUT", "--timeout", "-1"), "timeout_s"),
        (("models", "--url", "gpu01"), "server URL"),
        (("compare", "a.report.json", "b.report.json"), "cannot read"),
    ],
)
def test_a_mistake_gets_a_sentence_and_exit_code_2(
    arguments: tuple[str, ...],
    message: str,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    places = {
        "LEFT": photographs / "left.jpg",
        "OUT": tmp_path / "out",
        "EMPTY": tmp_path / "empty",
        "J": tmp_path / "j",
    }
    assert run(*(places.get(argument, argument) for argument in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_an_unknown_format_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("segment", "x", "--out", "y", "--format", "dicom,mask")
    assert "unknown format dicom; known: overlay, mask" in capsys.readouterr().err


def test_no_server_is_exit_code_3(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "grpc://127.0.0.1:1"
    assert run("segment", photographs, "--out", tmp_path / "out", "--url", url, "--timeout", "0.3") == 3
    assert run("models", "--url", url, "--timeout", "0.3") == 3
    assert run("health", "--url", url, "--timeout", "5") == 3
    assert run("health", "--url", url, "--wait", "0.3") == 3
    assert "no server became ready" in capsys.readouterr().err


def test_models_and_health(loopback: Loopback, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "--url", loopback.url) == 0
    assert run("models", "--url", loopback.url, "--json") == 0
    assert run("health", "--url", loopback.url, "--wait", "20") == 0
    assert run("health", "--url", loopback.url, "--json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["model", "answers"]
    assert json.loads(lines[3])["classes"] == {"hemorrhage": "#e6194b"}
    assert json.loads(lines[-1])["ready"] is True


def test_compare_prints_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = example_result()
    result.save(tmp_path, name="a")
    image = result.report.image
    empty = encode_mask(np.zeros((image.height, image.width), np.bool_))
    SegmentationResult(result.report, (empty,)).save(tmp_path, name="b", overlay=False)
    assert run("compare", tmp_path / "a.report.json", tmp_path / "b.report.json") == 0
    assert run("compare", tmp_path / "a.report.json", tmp_path / "a.report.json", "--json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["hemorrhage", "0.000", "0.000", "2218", "0", "0", "0", "132"]
    assert json.loads(lines[3])["classes"]["hemorrhage"]["dice"] == 1.0


def test_an_interrupt_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake: FakeServer
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segserve._cli_server.open_client", interrupted)
    assert run("models") == 130
    assert "interrupted" in capsys.readouterr().err


def test_it_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "segserve", "--help"], capture_output=True, text=True, check=True)
    assert "exit codes:" in done.stdout


def test_the_bar_shows_on_a_terminal(
    loopback: Loopback,
    fake: FakeServer,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake.script(Step(delay_s=0.01))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("segment", photographs, "--out", tmp_path / "out", "--url", loopback.url) == 0
    assert "2/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress(0, 0, 0, None, 0.0), "0 images  0.0 images/s"),
        (Progress(50, 2, 0, 100, 10.0), "[############............]  50/100  5.0 images/s  2 failed  0:10 left"),
        (
            Progress(10, 0, 90, 200, 1.0),
            "[############............]  100/200  10.0 images/s  90 done before  0:10 left",
        ),
    ],
)
def test_progress_reads_well(progress: Progress, line: str) -> None:
    assert format_progress(progress) == line
