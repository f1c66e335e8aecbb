"""The Kubernetes objects as `kubectl kustomize` renders them: valid, hardened, agreeing with the rest of deploy/."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.deploy.processes import find_program, run
from tests.deploy.proxy import DEPLOY
from tests.deploy.triton import ROOT

OVERLAYS = ("gpu", "cpu", "canary")
KUBERNETES = "1.34"
#: Objects of other projects, whose schemas no package carries.
FOREIGN = "monitoring.coreos.com/"

Object = dict[str, Any]


def render(folder: str) -> list[Object]:
    """The objects of a folder of deploy/kubernetes."""
    text = run(find_program("kubectl"), "kustomize", DEPLOY / "kubernetes" / folder)
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="module", params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """The objects of an overlay."""
    return render(f"overlays/{request.param}")


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """Objects of a kind by name."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def containers(objects: list[Object]) -> list[tuple[str, Object]]:
    """Each container of each deployment, init containers too."""
    return [
        (f"{name}/{container['name']}", container)
        for name, deployment in of_kind(objects, "Deployment").items()
        for group in ("containers", "initContainers")
        for container in deployment["spec"]["template"]["spec"].get(group, [])
    ]


def test_each_object_is_what_kubernetes_says_it_is(objects: list[Object]) -> None:
    for one in objects:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    deployment = of_kind(render("overlays/cpu"), "Deployment")["segserve-triton"]
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)


def test_everything_lies_in_one_namespace_that_enforces_the_restricted_profile(objects: list[Object]) -> None:
    (namespace,) = of_kind(objects, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {one["metadata"].get("namespace") for one in objects if one is not namespace} == {"segserve"}


def test_every_container_is_hardened_and_limited(objects: list[Object]) -> None:
    for name, container in containers(objects):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        assert {"cpu", "memory"} <= set(container["resources"]["limits"]), name
    for name, deployment in of_kind(objects, "Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name


def test_no_image_is_left_without_a_tag(objects: list[Object]) -> None:
    assert [name for name, container in containers(objects) if not re.search(r":[\w.-]+$", container["image"])] == []


def test_the_gpu_overlay_asks_for_one_and_builds_before_it_serves() -> None:
    deployment = of_kind(render("overlays/gpu"), "Deployment")["segserve-triton"]
    pod = deployment["spec"]["template"]["spec"]
    (engine,), (triton,) = pod["initContainers"], pod["containers"]
    for container in (engine, triton):
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert {"name": "SEGSERVE_REPOSITORY", "value": "/models/1"} in container["env"]
    mounts = {mount["mountPath"]: mount for mount in triton["volumeMounts"]}
    assert mounts["/models"]["readOnly"] is True


def test_shared_memory_is_memory(objects: list[Object]) -> None:
    for name, deployment in of_kind(objects, "Deployment").items():
        if not name.startswith("segserve-triton"):
            continue
        pod = deployment["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"


def test_three_probes_ask_every_model_and_the_dead_stubs(objects: list[Object]) -> None:
    found = [container for name, container in containers(objects) if name.endswith("/triton")]
    assert found
    for container in found:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["exec"]["command"] == ["/opt/segserve/probe.py"]


def test_grace_periods_add_up() -> None:
    deployments = of_kind(render("overlays/gpu"), "Deployment")
    triton = deployments["segserve-triton"]["spec"]["template"]["spec"]
    pause = int(triton["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    exit_timeout = int(_find(r"--exit-timeout-secs=(\d+)", DEPLOY / "image" / "triton.flags"))
    assert pause + exit_timeout < triton["terminationGracePeriodSeconds"]

    # Until the pause is over the proxy must have left the pod; a Service's change takes some seconds to be known.
    for overlay in ("gpu", "canary"):
        (local,) = (
            one["data"] for name, one in of_kind(render(f"overlays/{overlay}"), "ConfigMap").items() if "local" in name
        )
        ages = re.findall(r"keepalive_time (\d+)s;", local["upstreams.conf"])
        assert [int(age) + 5 < pause for age in ages] == [True, True]

    proxy = deployments["segserve-proxy"]["spec"]["template"]["spec"]
    script = proxy["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][2]
    pauses = [int(number) for number in re.findall(r"sleep (\d+)", script)]
    longest_request = max(int(number) for number in re.findall(r"read_timeout (\d+)s", _routes()))
    assert pauses[1] > longest_request
    assert sum(pauses) < proxy["terminationGracePeriodSeconds"]


def _find(pattern: str, file: Path) -> str:
    match = re.search(pattern, file.read_text())
    assert match, f"{pattern} in {file}"
    return match[1]


def _routes() -> str:
    return "".join(path.read_text() for path in (DEPLOY / "proxy").glob("*_routes.conf"))


def test_an_upgrade_never_has_fewer_replicas_than_before(objects: list[Object]) -> None:
    for name, deployment in of_kind(objects, "Deployment").items():
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, name
    for name, budget in of_kind(objects, "PodDisruptionBudget").items():
        assert budget["spec"]["maxUnavailable"] == 1, name


def test_selectors_find_pods_and_only_those_of_their_release(objects: list[Object]) -> None:
    pods = {
        name: deployment["spec"]["template"]["metadata"]["labels"]
        for name, deployment in of_kind(objects, "Deployment").items()
    }

    def selected(selector: dict[str, str]) -> set[str]:
        return {name for name, labels in pods.items() if selector.items() <= labels.items()}

    services = {name: selected(one["spec"]["selector"]) for name, one in of_kind(objects, "Service").items()}
    expected = {"segserve": {"segserve-proxy"}, "segserve-proxy-status": {"segserve-proxy"}}
    expected |= {name: {name} for name in pods if name.startswith("segserve-triton")}
    assert services == expected
    for name, budget in of_kind(objects, "PodDisruptionBudget").items():
        assert selected(budget["spec"]["selector"]["matchLabels"]) == {name}
    tritons = {name for name in pods if name.startswith("segserve-triton")}
    policies = of_kind(objects, "NetworkPolicy")
    assert selected(policies["segserve-triton"]["spec"]["podSelector"]["matchLabels"]) == tritons
    assert selected(policies["segserve-proxy"]["spec"]["podSelector"]["matchLabels"]) == {"segserve-proxy"}


def test_triton_may_talk_to_nobody_and_hears_only_the_proxy_and_the_monitoring(objects: list[Object]) -> None:
    policy = of_kind(objects, "NetworkPolicy")["segserve-triton"]["spec"]
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    assert not policy.get("egress")
    sources = [source for rule in policy["ingress"] for source in rule["from"]]
    assert sources == [
        {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "segserve-proxy"}}},
        {"namespaceSelector": {"matchLabels": {"segserve/monitoring": "true"}}},
    ]


def test_the_autoscaler_looks_at_a_metric_that_is_recorded(objects: list[Object]) -> None:
    (scaler,) = of_kind(objects, "HorizontalPodAutoscaler").values()
    metric = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"]
    (rule,) = yaml.safe_load((DEPLOY / "kubernetes" / "monitoring" / "adapter_rules.yaml").read_text())["rules"]
    assert rule["name"]["as"] == metric
    recorded = _find(r'__name__="([^"]+)"', DEPLOY / "kubernetes" / "monitoring" / "adapter_rules.yaml")
    assert f"record: {recorded}\n" in (DEPLOY / "prometheus" / "rules" / "triton.yml").read_text()


@pytest.fixture(params=OVERLAYS)
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder that the proxy's pod of an overlay finds at /etc/segserve, with names of services made to resolve."""
    objects = render(f"overlays/{request.param}")
    pod = of_kind(objects, "Deployment")["segserve-proxy"]["spec"]["template"]["spec"]
    (volume,) = (volume["projected"] for volume in pod["volumes"] if volume["name"] == "configuration")
    maps = of_kind(objects, "ConfigMap")
    for source in volume["sources"]:
        if "secret" in source:
            continue
        data = maps[source["configMap"]["name"]]["data"]
        items = source["configMap"].get("items") or [{"key": key, "path": key} for key in data]
        for item in items:
            target = tmp_path / "configuration" / item["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(re.sub(r"segserve-triton(-canary)?:", "127.0.0.1:", data[item["key"]]))
    (secret,) = (source["secret"] for source in volume["sources"] if "secret" in source)
    certificates = tmp_path / "made"
    run(DEPLOY / "certs.sh", "all", certificates, "localhost")
    for item in secret["items"]:
        target = tmp_path / "configuration" / item["path"]
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((certificates / "proxy" / item["key"]).read_bytes())
    return tmp_path / "configuration"


def test_nginx_accepts_what_its_pod_mounts(mounted: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    logging = mounted / "logging.conf"
    logging.write_text(logging.read_text().replace("/dev/stdout", str(tmp_path / "access.log")))
    run(find_program("nginx"), "-p", tmp_path / "run", "-c", mounted / "nginx.conf", "-t", "-q")


def test_the_canary_is_another_release_and_gets_a_twentieth() -> None:
    objects = render("overlays/canary")
    deployments = of_kind(objects, "Deployment")
    releases = {
        name: deployment["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]
        for name, deployment in deployments.items()
        if name.startswith("segserve-triton")
    }
    assert releases == {"segserve-triton": "1", "segserve-triton-canary": "2"}
    (local,) = (one["data"] for name, one in of_kind(objects, "ConfigMap").items() if "local" in name)
    for service, port in (("http", 8000), ("grpc", 8001)):
        (block,) = re.findall(rf"upstream triton_{service} {{(.*?)}}", local["upstreams.conf"], re.DOTALL)
        weights = dict(re.findall(rf"server (\S+):{port} weight=(\d+);", block))
        assert weights == {"segserve-triton": "19", "segserve-triton-canary": "1"}


def test_the_canary_differs_from_the_gpu_release_in_its_number_only() -> None:
    folder = DEPLOY / "kubernetes" / "overlays"
    stable = (folder / "gpu" / "gpu.yaml").read_text()
    canary = (folder / "canary" / "release" / "gpu.yaml").read_text()
    stable = stable.replace("segserve-triton }", "segserve-triton-canary }").replace("/models/1 ", "/models/2 ")
    assert stable.replace("/models/1}", "/models/2}").replace('release: "1"', 'release: "2"') == canary


def test_the_operators_rules_are_those_of_prometheus() -> None:
    (rule,) = of_kind(render("monitoring"), "PrometheusRule").values()
    groups = [
        group
        for path in sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    assert rule["spec"]["groups"] == groups, "run python deploy/kubernetes/monitoring/build_rules.py"


def test_monitors_find_their_services_and_probe_every_model() -> None:
    monitoring = render("monitoring")
    services = of_kind(render("overlays/gpu"), "Service")
    for name, monitor in of_kind(monitoring, "ServiceMonitor").items():
        wanted = monitor["spec"]["selector"]["matchLabels"]
        ports = {
            port["name"]
            for service in services.values()
            if wanted.items() <= service["metadata"]["labels"].items()
            for port in service["spec"]["ports"]
        }
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports, name
    targets = of_kind(monitoring, "Probe")["segserve-models"]["spec"]["targets"]["staticConfig"]["static"]
    models = {path.parent.name for path in (ROOT / "model_repository").glob("*/config.pbtxt")}
    assert {target.split("/models/")[1].split("/")[0] for target in targets} == models
    assert {one["apiVersion"] for one in monitoring if one["apiVersion"].startswith(FOREIGN)} == {f"{FOREIGN}v1"}
