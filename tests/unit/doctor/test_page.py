import json

from segserve_server.doctor.findings import Finding, Status
from segserve_server.doctor.page import as_json, as_text

FINDINGS = [
    Finding("Python", Status.GREEN, "3.11.7"),
    Finding("GPU", Status.NOTE, "none"),
    Finding("ports", Status.RED, "8000 is taken", "stop it"),
]


def test_each_finding_is_a_line_with_what_to_do_beneath_it() -> None:
    assert as_text(FINDINGS, color=False).splitlines() == [
        "  ok    Python 3.11.7",
        "  note  GPU    none",
        "  FIX   ports  8000 is taken",
        "               -> stop it",
        "",
        "1 to fix",
    ]


def test_without_red_the_last_line_says_that_it_can_serve() -> None:
    assert as_text(FINDINGS[:2], color=False).splitlines()[-1] == "this machine can serve"


def test_colour_is_green_and_red_and_only_on_request() -> None:
    coloured = as_text(FINDINGS, color=True)

    assert "\033[32mok  \033[0m" in coloured
    assert "\033[31;1mFIX \033[0m" in coloured
    assert "\033" not in as_text(FINDINGS, color=False)


def test_long_lines_are_wrapped_beneath_their_beginning() -> None:
    (first, second, *_) = as_text([Finding("x", Status.NOTE, "word " * 40)], color=False).splitlines()

    assert len(first) <= 110
    assert second.index("word") == first.index("word")


def test_json_holds_the_same() -> None:
    assert json.loads(as_json(FINDINGS)) == {
        "healthy": False,
        "findings": [
            {"topic": "Python", "status": "green", "text": "3.11.7", "advice": ""},
            {"topic": "GPU", "status": "note", "text": "none", "advice": ""},
            {"topic": "ports", "status": "red", "text": "8000 is taken", "advice": "stop it"},
        ],
    }
