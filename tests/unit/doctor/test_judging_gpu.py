import re
from dataclasses import replace

import pytest

from segserve_server.doctor.facts import Facts, GpuMemory, Server, ServerKind
from segserve_server.doctor.findings import Status, is_healthy
from segserve_server.doctor.judging import judge
from tests.unit.doctor.machines import GPU_SERVER, LAPTOP, finding, with_gpu, with_host, with_machine, with_repository

SHORTCOMINGS = [
    (with_machine(GPU_SERVER, gpu=None), "GPU", "shows none", "--gpus=all"),
    (with_gpu(GPU_SERVER, compute_capability="6.1"), "GPU", r"6\.1; 7\.5 is needed", "Turing"),
    (
        with_host(GPU_SERVER, gpu_memory=GpuMemory(8000, 500)),
        "GPU memory",
        "500 of 8000 MiB free",
        "2048 MiB are free",
    ),
    (
        with_gpu(GPU_SERVER, driver="610.43"),
        "driver",
        r"610\.43; the container 26\.08 needs 615",
        r"update the driver to 615 or later, or use the container 26\.07-py3",
    ),
    (with_gpu(GPU_SERVER, driver="570.86"), "driver", "needs 615", "update the driver to 615 or later$"),
    (with_machine(GPU_SERVER, cuda="13.2"), "CUDA", r"supports 13\.2; 13\.4 is needed", "update the driver"),
    (with_machine(GPU_SERVER, cuda=None), "CUDA", "does not load", "--gpus=all"),
    (with_machine(GPU_SERVER, tensorrt=None), "TensorRT", "not found", r"26\.08-py3, not -min"),
    (with_machine(GPU_SERVER, tensorrt="10.9.0"), "TensorRT", r"10\.12 to 11\.x", "container"),
    (with_machine(GPU_SERVER, tensorrt="12.0.1"), "TensorRT", r"10\.12 to 11\.x", "container"),
    (with_machine(GPU_SERVER, tensorrt="11.1.0"), "TensorRT", r"brings 11\.2", "uninstall the Python package"),
]


@pytest.mark.parametrize(("facts", "topic", "text", "advice"), SHORTCOMINGS)
def test_a_shortcoming_is_red_where_a_model_needs_the_gpu(facts: Facts, topic: str, text: str, advice: str) -> None:
    found = finding(facts, topic)

    assert found.status is Status.RED
    assert re.search(text, found.text)
    assert re.search(advice, found.advice)


@pytest.mark.parametrize(("facts", "topic"), [(facts, topic) for facts, topic, _, _ in SHORTCOMINGS])
def test_the_same_is_a_note_where_nothing_needs_the_gpu(facts: Facts, topic: str) -> None:
    facts = with_repository(facts, variant="cpu", needs_gpu=False)

    assert finding(facts, topic).status is Status.NOTE
    assert is_healthy(judge(facts))


def test_a_gpu_server_in_order_has_a_green_line_for_each_part() -> None:
    topics = {each.topic for each in judge(GPU_SERVER) if each.status is Status.GREEN}

    assert {"GPU", "GPU memory", "driver", "CUDA", "TensorRT"} <= topics


def test_outside_the_container_a_driver_is_held_against_the_security_floor() -> None:
    workstation = replace(GPU_SERVER, server=LAPTOP.server)

    assert finding(with_gpu(workstation, driver="610.10"), "driver").text == "610.10; runs the container 26.07"
    old = finding(with_gpu(workstation, driver="595.10"), "driver")
    assert old.status is Status.RED
    assert "update the driver to 610 or later" in old.advice


def test_a_container_newer_than_the_table_is_not_blamed() -> None:
    facts = replace(GPU_SERVER, server=Server(ServerKind.CONTAINER, (2, 80)))

    assert is_healthy(judge(facts))


def test_tensorrt_outside_the_container_is_not_missed() -> None:
    facts = with_machine(replace(GPU_SERVER, server=LAPTOP.server), tensorrt=None)

    assert finding(facts, "TensorRT").status is Status.NOTE


def test_a_driver_that_keeps_its_memory_to_itself_is_a_note() -> None:
    assert finding(with_host(GPU_SERVER, gpu_memory=None), "GPU memory").status is Status.NOTE
