"""What the doctor says: one finding per line of its page."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How serious a finding is."""

    GREEN = "green"
    #: Worth knowing, and nothing to do about it for what is to be served.
    NOTE = "note"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the page.

    Attributes:
        topic: what it is about, a word or two.
        status: green, note or red.
        text: what was found.
        advice: what to do; never empty if it is red.
    """

    topic: str
    status: Status
    text: str
    advice: str = ""

    def __post_init__(self) -> None:
        if self.status is Status.RED and not self.advice:
            raise ValueError(f"the red finding on {self.topic} must say what to do")


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Whether none is red."""
    return all(finding.status is not Status.RED for finding in findings)
