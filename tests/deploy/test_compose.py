"""compose.yaml as docker compose itself reads it: complete, hardened, and closed to the outside."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.processes import find_tool, run
from tests.deploy.proxy import DEPLOY

FILE = DEPLOY / "compose.yaml"
#: A digest has no default: this one exists for these tests only.
DIGEST = f"sha256:{'0' * 64}"
PROFILES = ("gpu", "cpu", "gpu,next", "cpu,next-cpu", "gpu,tracing")


def rendered(profiles: str) -> dict[str, Any]:
    """The configuration with these profiles."""
    environment = {"TRITON_DIGEST": DIGEST, "COMPOSE_PROFILES": profiles}
    text = run(find_tool("docker-compose"), "-f", FILE, "config", "--format", "json", environment=environment)
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@pytest.fixture(scope="module", params=PROFILES)
def services(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The services of one choice of profiles."""
    found: dict[str, Any] = rendered(request.param)["services"]
    return found


def test_without_a_digest_it_says_where_to_put_one() -> None:
    with pytest.raises(AssertionError, match=r"TRITON_DIGEST is missing a value: set it in deploy/\.env"):
        run(find_tool("docker-compose"), "-f", FILE, "config", "-q", environment={"COMPOSE_PROFILES": "gpu"})


def test_every_service_is_hardened(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["restart"] == ("no" if name == "engine" else "unless-stopped"), name


def test_only_loopback_is_published(services: dict[str, Any]) -> None:
    published = {
        name: {port["host_ip"] for port in service["ports"]} for name, service in services.items() if "ports" in service
    }
    assert published == {name: {"127.0.0.1"} for name in ("proxy", "prometheus", "grafana")}


def test_triton_sits_on_a_network_without_a_way_out() -> None:
    configuration = rendered("gpu,next")
    assert configuration["networks"]["back"]["internal"] is True
    assert {name: list(configuration["services"][name]["networks"]) for name in ("triton-gpu", "next-gpu")} == {
        "triton-gpu": ["back"],
        "next-gpu": ["back"],
    }
    assert configuration["services"]["engine"]["network_mode"] == "none"


def test_each_profile_has_one_server_that_the_proxy_and_prometheus_call_triton() -> None:
    for profile in ("gpu", "cpu"):
        services = rendered(profile)["services"]
        aliases = [
            alias
            for service in services.values()
            for network in (service.get("networks") or {}).values()
            for alias in (network or {}).get("aliases", [])
        ]
        assert aliases == ["triton"]
        assert any(host.startswith("triton=") for host in services["proxy"]["extra_hosts"])


def test_the_gpu_server_starts_only_after_its_engine_was_built() -> None:
    services = rendered("gpu")["services"]
    assert services["triton-gpu"]["depends_on"]["engine"]["condition"] == "service_completed_successfully"
    assert services["proxy"]["depends_on"]["triton-gpu"]["condition"] == "service_healthy"
    assert services["engine"]["environment"]["SEGSERVE_REPOSITORY"] == "/models/1"
    models = [volume for volume in services["triton-gpu"]["volumes"] if volume["target"] == "/models"]
    assert [volume["read_only"] for volume in models] == [True]


def test_grace_periods_add_up() -> None:
    services = rendered("gpu")["services"]
    exit_timeout = int(_find(r"--exit-timeout-secs=(\d+)", DEPLOY / "image" / "triton.flags"))
    drain = int(_find(r"worker_shutdown_timeout (\d+)s", DEPLOY / "proxy" / "nginx.conf"))
    assert _seconds(services["triton-gpu"]["stop_grace_period"]) > exit_timeout + 10
    assert _seconds(services["proxy"]["stop_grace_period"]) > drain


def _seconds(text: str) -> int:
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(\d+)s", text).groups()  # type: ignore[union-attr]
    return 60 * int(minutes or 0) + int(seconds)


def _find(pattern: str, file: Path) -> str:
    match = re.search(pattern, file.read_text())
    assert match, f"{pattern} in {file}"
    return match[1]


def test_every_mounted_file_is_there_or_made_by_the_operator() -> None:
    operator_makes = {DEPLOY / "secrets" / "proxy", DEPLOY / "secrets" / "grafana_password"}
    configuration = rendered("gpu,tracing")
    sources = {
        Path(volume["source"])
        for service in configuration["services"].values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    } | {Path(secret["file"]) for secret in configuration["secrets"].values()}
    assert operator_makes <= sources
    assert [source for source in sources - operator_makes if not source.exists()] == []


def test_each_variable_has_its_line_in_the_settings_file() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", FILE.read_text()))
    set_there = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / ".env").read_text(), re.MULTILINE))
    # The group that may read the secrets is the operator's own, not a setting of the deployment.
    assert used - set_there == {"SEGSERVE_SECRETS_GROUP"}
    assert set_there - used == {"COMPOSE_PROFILES"}


def test_the_served_triton_is_not_below_the_floor_and_has_no_invented_digest() -> None:
    settings = dict(re.findall(r"^([A-Z_]+)=(.*)$", (DEPLOY / ".env").read_text(), re.MULTILINE))
    year, month = map(int, settings["TRITON_TAG"].removesuffix("-py3").split("."))
    assert (year, month) >= (26, 8)
    assert settings["TRITON_DIGEST"] == ""
    tags = [
        path
        for path in DEPLOY.rglob("*")
        if path.is_file() and settings["TRITON_TAG"] in path.read_text(errors="replace")
    ]
    assert [path.name for path in tags] == [".env"]


def test_the_otlp_collector_receives_where_triton_would_send() -> None:
    collector = yaml.safe_load((DEPLOY / "otel" / "collector.yaml").read_text())
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")
    assert "http://otel:4318/v1/traces" in (DEPLOY / ".env").read_text()
