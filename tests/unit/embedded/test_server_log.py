import pytest

from segserve_server.embedded.server_log import describe_exit, explain_end, find_reason, is_noise

NO_GPU = 'E1121 06:05:15.551229 5209 server.cc:241] "CudaDriverHelper has not been initialized."'
LOADED = "I1121 06:05:15.781319 5209 model_lifecycle.cc:839] \"successfully loaded 'echo_upper'\""
INSTANCE = 'E1121 06:18:00.330540 3159 backend_model.cc:692] "ERROR: Failed to create instance: ImportError: No cv2"'
FAILED = (
    "E1121 06:18:00.330693 3159 model_lifecycle.cc:642] "
    "\"failed to load 'preprocess' version 1: Internal: ImportError: No cv2\\n\\nAt:\\n  /models/p/1/model.py\""
)
PORT = 'E1121 06:18:00.330693 3159 main.cc:400] "failed to start HTTP service: Unavailable - Socket already in use"'
LAST = "error: creating server: Internal - failed to load all models"


def test_the_cause_is_found_among_consequences_and_noise() -> None:
    assert find_reason([NO_GPU, LOADED, INSTANCE, FAILED, LAST]) == (
        "failed to load 'preprocess' version 1: Internal: ImportError: No cv2"
    )


def test_a_traceback_in_the_log_is_cut_to_its_first_line() -> None:
    assert "model.py" not in str(find_reason([FAILED]))


def test_the_server_s_last_line_is_better_than_nothing() -> None:
    assert find_reason([NO_GPU, LOADED, LAST]) == LAST


def test_a_log_without_errors_gives_no_reason() -> None:
    assert find_reason([NO_GPU, LOADED]) is None
    assert explain_end(1, [NO_GPU], timeout_s=60).endswith("its log says more")


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [(1, "ended before it was ready (exit code 1): failed to start"), (None, "was not ready after 60 s: failed to")],
)
def test_why_a_server_is_not_ready_is_one_sentence(exit_code: int | None, words: str) -> None:
    sentence = explain_end(exit_code, [PORT], timeout_s=60)

    assert words in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(("code", "words"), [(0, "exit code 0"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (-99, "signal 99")])
def test_exit_codes_are_named(code: int, words: str) -> None:
    assert describe_exit(code) == words


def test_only_lines_about_the_missing_gpu_are_noise() -> None:
    assert is_noise(NO_GPU)
    assert not any(is_noise(line) for line in (LOADED, INSTANCE, FAILED, PORT, LAST))
