from pathlib import Path

import pytest

from segserve_server.embedded.flags import EMBEDDED_VERSION, ServerSettings, command_line
from segserve_server.embedded.ports import Ports

SETTINGS = ServerSettings(
    repository=Path("/models"),
    variant="cpu",
    ports=Ports(http=1, grpc=2, metrics=3),
    backend_directory=Path("/backends"),
    region_prefix="prefix-",
    admin_key="key",
    grace_s=7,
)


@pytest.mark.parametrize(
    ("flag", "before", "since"),
    [("--http-max-input-size", (2, 58), (2, 59)), ("--allow-client-shm", (2, 67), (2, 68))],
)
def test_a_flag_is_given_only_to_servers_that_know_it(
    flag: str, before: tuple[int, int], since: tuple[int, int]
) -> None:
    assert flag not in " ".join(command_line(SETTINGS, before))
    assert flag in " ".join(command_line(SETTINGS, since))


def test_every_service_is_bound_to_loopback() -> None:
    flags = command_line(SETTINGS, EMBEDDED_VERSION)

    for service, port in (("http", 1), ("grpc", 2), ("metrics", 3)):
        assert f"--{service}-address=127.0.0.1" in flags
        assert f"--{service}-port={port}" in flags


@pytest.mark.parametrize("protocol", ["http-restricted-api", "grpc-restricted-protocol"])
@pytest.mark.parametrize("api", ["model-repository", "shared-memory", "trace", "logging"])
def test_what_could_change_the_server_needs_the_key(protocol: str, api: str) -> None:
    restricted = [flag for flag in command_line(SETTINGS, EMBEDDED_VERSION) if flag.startswith(f"--{protocol}=")]

    assert any(api in flag.split("=")[1].split(":")[0].split(",") for flag in restricted)
    assert all(flag.endswith(":admin-key=key") for flag in restricted)
