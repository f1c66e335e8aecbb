import itertools

import pytest

from segserve_server.doctor.releases import RELEASES, SECURITY_FLOOR, find_release, newest_for_driver, parse_version


def test_the_table_runs_from_new_to_old() -> None:
    assert [r.triton for r in RELEASES] == sorted((r.triton for r in RELEASES), reverse=True)
    assert all(newer.tag > older.tag for newer, older in itertools.pairwise(RELEASES))


def test_a_version_finds_its_container() -> None:
    found = find_release((2, 71))

    assert found is SECURITY_FLOOR
    assert found.tag == "26.07"
    assert find_release((2, 99)) is None


@pytest.mark.parametrize(("driver", "tag"), [(700, "26.09"), (615, "26.09"), (614, "26.07"), (610, "26.07")])
def test_the_newest_container_of_a_driver(driver: int, tag: str) -> None:
    found = newest_for_driver(driver)

    assert found is not None
    assert found.tag == tag


def test_a_driver_below_the_floor_runs_none() -> None:
    assert newest_for_driver(609) is None


@pytest.mark.parametrize(
    ("text", "version"),
    [("2.51.0\n", (2, 51, 0)), ("11.2.0.57+cuda13", (11, 2, 0, 57)), ("8.9", (8, 9)), ("2.72.0dev", (2, 72)), ("", ())],
)
def test_versions_are_read_up_to_the_first_part_that_is_no_number(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version
