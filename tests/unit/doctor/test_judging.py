import re
from dataclasses import replace

import pytest

from segserve_server.doctor.facts import Facts, Server, ServerKind
from segserve_server.doctor.findings import Finding, Status, is_healthy
from segserve_server.doctor.judging import judge
from segserve_server.repository.problem import Problem
from tests.unit.doctor.machines import (
    GPU_SERVER,
    LAPTOP,
    finding,
    with_host,
    with_machine,
    with_repository,
)


@pytest.mark.parametrize("facts", [LAPTOP, GPU_SERVER], ids=["laptop", "gpu server"])
def test_a_machine_in_order_is_healthy(facts: Facts) -> None:
    assert is_healthy(judge(facts))


@pytest.mark.parametrize(
    ("facts", "topic", "text", "advice"),
    [
        (with_host(LAPTOP, python="3.13.1"), "Python", "3.13.1", "use Python 3.11 or 3.12"),
        (with_host(LAPTOP, libpython=None), "libpython", "is missing", "apt install libpython3.11 "),
        (
            replace(LAPTOP, server=None, server_problem="pip install it"),
            "tritonserver",
            "none",
            "pip install it",
        ),
        (with_host(LAPTOP, architecture="aarch64"), "architecture", "aarch64", "container"),
        (with_host(LAPTOP, glibc="2.31"), "glibc", "2.31; .* needs 2.35", "Debian 12"),
        (with_host(LAPTOP, glibc=None), "glibc", "none", "Debian 12"),
        (with_machine(LAPTOP, openvino=None), "OpenVINO", "not installed", r"segserve-server\[embedded\]"),
        (with_host(LAPTOP, shared_memory_free=None), "/dev/shm", "does not exist", "mount a tmpfs"),
        (with_host(LAPTOP, shared_memory_free=64 << 20), "/dev/shm", "64 MiB free, 256 MiB", "--shm-size=1g"),
        (replace(LAPTOP, taken=frozenset({"grpc"})), "ports", "8001 is taken", "--grpc-port"),
        (
            with_repository(LAPTOP, problems=(Problem("segment/1", "model.onnx is missing"),)),
            "repository",
            "segment/1: model.onnx is missing",
            "segserve-server check --repository models",
        ),
        (
            replace(GPU_SERVER, server=Server(ServerKind.CONTAINER, (2, 70))),
            "tritonserver",
            r"2\.70 .*\(26\.06\), below the security floor \(26\.07, 2\.71\)",
            "26.07-py3 or a later one",
        ),
    ],
)
def test_what_is_wrong_is_red_and_says_what_to_do(facts: Facts, topic: str, text: str, advice: str) -> None:
    found = finding(facts, topic)

    assert found.status is Status.RED
    assert re.search(text, found.text)
    assert re.search(advice, found.advice)
    assert not is_healthy(judge(facts))


def test_the_embedded_server_is_below_the_floor_and_that_is_a_note() -> None:
    found = finding(LAPTOP, "tritonserver")

    assert found.status is Status.NOTE
    assert "below the security floor" in found.text
    assert "not for production" in found.text


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ((2, 70), Status.RED),
        ((2, 71), Status.NOTE),
        ((2, 74), Status.NOTE),
        ((2, 75), Status.GREEN),
        ((2, 76), Status.GREEN),
    ],
)
def test_a_container_is_held_against_the_security_floor_and_the_batcher_s_repair(
    version: tuple[int, int], status: Status
) -> None:
    facts = replace(GPU_SERVER, server=Server(ServerKind.CONTAINER, version))

    assert finding(facts, "tritonserver").status is status


def test_the_embedded_server_cannot_serve_what_needs_a_gpu() -> None:
    findings = judge(with_repository(LAPTOP, needs_gpu=True))

    assert any(
        each.topic == "tritonserver" and each.status is Status.RED and "no TensorRT backend" in each.text
        for each in findings
    )


def test_the_container_needs_no_libpython_and_no_particular_glibc() -> None:
    assert is_healthy(judge(with_host(GPU_SERVER, libpython=None, glibc=None)))


@pytest.mark.parametrize(
    ("sets", "status", "text"),
    [
        (("avx2", "amx_bf16", "avx512_bf16"), Status.GREEN, "bf16 (amx_bf16)"),
        (("avx2", "avx512_bf16"), Status.GREEN, "bf16 (avx512_bf16)"),
        (("avx2",), Status.NOTE, "f32"),
        ((), Status.NOTE, "no vector instructions known"),
    ],
)
def test_the_cpu_s_instructions_decide_the_engine_s_precision(sets: tuple[str, ...], status: Status, text: str) -> None:
    found = finding(with_machine(LAPTOP, instruction_sets=sets), "CPU")

    assert found.status is status
    assert text in found.text


def test_every_problem_of_the_repository_is_a_line() -> None:
    problems = (Problem("a", "one"), Problem("b", "two"))

    lines = [each for each in judge(with_repository(LAPTOP, problems=problems)) if each.topic == "repository"]

    assert [line.text for line in lines] == ["a: one", "b: two"]


def test_weights_and_engines_that_are_there_are_listed() -> None:
    assert finding(LAPTOP, "weights").text == "segment/1/model.onnx"


def test_a_red_finding_without_advice_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="must say what to do"):
        Finding("x", Status.RED, "broken")
