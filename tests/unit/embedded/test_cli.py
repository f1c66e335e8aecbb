import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from segserve_server import cli
from segserve_server.embedded import runtime, shared_memory
from segserve_server.embedded.ports import LOOPBACK, free_ports

SHIPPED = Path(__file__).parents[3] / "model_repository"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the shipped repository, to be damaged."""
    return shutil.copytree(SHIPPED, tmp_path / "model_repository")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command line."""
    exit_code = cli.main(arguments)
    captured = capsys.readouterr()
    return exit_code, captured.out, captured.err


def test_check_finds_no_problem_in_the_shipped_repository(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, out, _ = run(capsys, "check", "--repository", str(SHIPPED))

    assert exit_code == 0
    assert "no problem found (variant cpu)" in out


def test_check_prints_each_problem_on_a_line_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], repository: Path
) -> None:
    for step in ("preprocess", "postprocess"):
        (repository / f"fundus_hemorrhage_{step}" / "1" / "settings.toml").unlink()

    exit_code, out, _ = run(capsys, "check", "--repository", str(repository))

    assert exit_code == 1
    assert [line.split(": ")[0] for line in out.splitlines()] == [
        "fundus_hemorrhage_preprocess/1/settings.toml",
        "fundus_hemorrhage_postprocess/1/settings.toml",
    ]


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_mistyped_repository_gets_a_sentence(capsys: pytest.CaptureFixture[str], command: str) -> None:
    exit_code, out, err = run(capsys, command, "--repository", "/no/such/folder")

    assert exit_code == 1
    assert "there is no model repository at /no/such/folder" in out + err


def test_serve_refuses_an_invalid_repository_with_its_problems(
    capsys: pytest.CaptureFixture[str], repository: Path
) -> None:
    (repository / "fundus_hemorrhage" / "config.pbtxt").write_text("nonsense")

    exit_code, _, err = run(capsys, "serve", "--repository", str(repository))

    assert exit_code == 1
    assert "fundus_hemorrhage/config.pbtxt is not a Triton model configuration" in err
    assert err.splitlines()[-1].endswith("cannot be served before this is put right")


def test_serve_says_which_weights_are_missing(capsys: pytest.CaptureFixture[str], repository: Path) -> None:
    (repository / "fundus_hemorrhage_segment" / "1" / "model.onnx").unlink()

    exit_code, _, err = run(capsys, "serve", "--repository", str(repository))

    assert exit_code == 1
    assert "fundus_hemorrhage_segment/1/model.onnx is missing" in err


def test_serve_says_which_port_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen()
        taken = listening.getsockname()[1]

        exit_code, _, err = run(capsys, "serve", "--repository", str(SHIPPED), "--grpc-port", str(taken))

    assert exit_code == 1
    assert err == (
        f"segserve-server: port {taken} is taken: stop the program that listens on it, "
        "or choose another with --grpc-port\n"
    )


def test_serve_says_that_libpython_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "library_folders", lambda: [])

    exit_code, _, err = run(capsys, "serve", "--repository", str(SHIPPED))

    assert exit_code == 1
    assert "apt install libpython3" in err


def test_serve_says_that_the_wheel_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "WHEEL", "a-wheel-that-is-not-installed")

    exit_code, _, err = run(capsys, "serve", "--repository", str(SHIPPED))

    assert exit_code == 1
    assert "segserve-server[embedded]" in err


def test_serve_says_that_shared_memory_is_too_small(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory, "free_bytes", lambda directory: 64 << 20)

    exit_code, _, err = run(capsys, "serve", "--repository", str(SHIPPED))

    assert exit_code == 1
    assert "has 64 MiB free" in err


def test_serve_gives_the_signal_handlers_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)

    test_serve_says_which_port_is_taken(capsys)

    assert signal.getsignal(signal.SIGINT) is before


def free_port_options() -> list[str]:
    return [argument for name, port in free_ports().named() for argument in (f"--{name}-port", str(port))]


def test_doctor_is_green_for_the_shipped_repository(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, out, _ = run(capsys, "doctor", "--repository", str(SHIPPED), *free_port_options())

    assert exit_code == 0, out
    assert out.endswith("this machine can serve\n")


def test_doctor_exits_with_1_and_says_what_to_do_about_what_is_red(
    capsys: pytest.CaptureFixture[str], repository: Path
) -> None:
    (repository / "fundus_hemorrhage_segment" / "1" / "model.onnx").unlink()

    exit_code, out, _ = run(capsys, "doctor", "--repository", str(repository), "--json", *free_port_options())

    assert exit_code == 1
    red = [finding for finding in json.loads(out)["findings"] if finding["status"] == "red"]
    assert {finding["topic"] for finding in red} == {"repository"}
    assert all("segserve-server check" in finding["advice"] for finding in red)


def test_output_that_nobody_reads_ends_without_a_traceback() -> None:
    program = [sys.executable, "-m", "segserve_server.cli", "check", "--repository", str(SHIPPED)]
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as unread:  # noqa: PTH123  (a file descriptor has no path)
        done = subprocess.run(program, stdout=unread, stderr=subprocess.PIPE, text=True, check=False)

    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [[], ["serve", "--http-port", "many"], ["bake"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(arguments)

    assert raised.value.code == 2
