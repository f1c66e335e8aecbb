"""NVIDIA's Triton containers: what each brings and which driver it needs.

From the release notes of the containers, as of November 2026; a None was not known then. The oldest listed is the one
that the embedded server comes from.
"""

from dataclasses import dataclass

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """One container.

    Attributes:
        tag: year and month, "26.08".
        triton: tritonserver's version.
        cuda: CUDA inside.
        driver: the first driver branch that runs it.
        tensorrt: TensorRT inside, major and minor.
    """

    tag: str
    triton: Version
    cuda: Version | None = None
    driver: int | None = None
    tensorrt: Version | None = None


RELEASES = (
    Release("26.11", (2, 75)),
    Release("26.10", (2, 74), cuda=(13, 4)),
    Release("26.09", (2, 73), cuda=(13, 4), driver=615),
    Release("26.08", (2, 72), cuda=(13, 4), driver=615, tensorrt=(11, 2)),
    Release("26.07", (2, 71), cuda=(13, 3), driver=610, tensorrt=(11, 1)),
    Release("26.06", (2, 70), cuda=(13, 3), driver=610, tensorrt=(11, 0)),
    Release("26.05", (2, 69), cuda=(13, 2), driver=595, tensorrt=(10, 16)),
    Release("24.10", (2, 51)),
)

#: Below it, known vulnerabilities rated above 9 are open.
SECURITY_FLOOR = next(release for release in RELEASES if release.tag == "26.07")

#: 26.08 ends starvation in the dynamic batcher, this one a use of freed memory there.
BATCHER_FIXED = next(release for release in RELEASES if release.tag == "26.11")

#: What the engines are built with, strongly typed.
OLDEST_TENSORRT: Version = (10, 12)
NEXT_TENSORRT: Version = (12,)

#: Compute capability that all these containers need.
OLDEST_CAPABILITY: Version = (7, 5)


def find_release(triton: Version) -> Release | None:
    """The container that brings this tritonserver (major, minor); None if the table does not know it."""
    return next((release for release in RELEASES if release.triton == triton), None)


def newest_for_driver(driver: int) -> Release | None:
    """The newest container at or above the security floor that a driver branch runs; None if there is none."""
    known = (release for release in RELEASES if release.driver is not None and release.triton >= SECURITY_FLOOR.triton)
    return next((release for release in known if release.driver is not None and release.driver <= driver), None)


def parse_version(text: str) -> Version:
    """The leading numbers of a version: "11.2.0.57+cuda" is (11, 2, 0, 57); empty if there are none."""
    numbers = []
    for part in text.strip().split("+")[0].split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def show_version(version: Version) -> str:
    """The numbers with dots between them."""
    return ".".join(str(number) for number in version)
