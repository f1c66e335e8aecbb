"""Signals that end a server, also one that arrives while another is being dealt with."""

import subprocess
import sys

import pytest

SAID = "segserve-server: stopping; once more to end at once"


def asked(*arguments: str) -> list[str]:
    """The lines that the program prints; it fails unless it ends by itself, with everything as it was before."""
    program = [sys.executable, "-m", "tests.unit.embedded.stopping_program", *arguments]
    return subprocess.run(program, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_asks_it_to_stop(number: str) -> None:
    assert asked(number) == [SAID, "stop"]


def test_a_second_signal_in_the_midst_of_the_first_hurries_it() -> None:
    assert asked("SIGINT", "SIGTERM") == [SAID, "stop", "hurry"]


def test_it_does_not_depend_on_the_main_thread_which_may_just_have_begun_to_wait() -> None:
    assert asked("--deaf", "SIGINT", "SIGTERM") == [SAID, "stop", "hurry"]


def test_without_a_signal_nothing_is_asked() -> None:
    assert asked() == []
