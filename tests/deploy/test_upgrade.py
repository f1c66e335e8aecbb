"""A new model version goes into service, and out of it again, without a failed request."""

import re
import time
from pathlib import Path

import pytest

from tests.deploy.callers import infer
from tests.deploy.cluster_ip import ClusterIp
from tests.deploy.load import running_load
from tests.deploy.proxy import DEPLOY, Callers, Proxy
from tests.deploy.repository import lay_tiny
from tests.deploy.triton import Triton


def test_upgrade_and_roll_back_under_load_fail_no_request(folder: Path, callers: Callers) -> None:
    one, two = lay_tiny(folder / "one", version=1), lay_tiny(folder / "two", version=2)
    first = Triton(one, log=folder / "first.log")
    second = third = None
    try:
        with Proxy(folder, callers, [first.target()]) as proxy, running_load(proxy, callers) as load:
            load.wait_for_more(30)
            assert set(load.versions()) == {"1"}

            second = Triton(two, log=folder / "second.log")
            proxy.switch(second.target())
            since = len(load.answers)
            first.stop(grace_s=15)
            load.wait_for_more(30)
            # Requests that were under way while the switch was made may have counted since.
            assert set(load.versions(since + 4)) == {"2"}

            third = Triton(one, log=folder / "third.log")
            proxy.switch(third.target())
            since = len(load.answers)
            second.stop(grace_s=15)
            load.wait_for_more(30)
            assert set(load.versions(since + 4)) == {"1"}
        assert load.failures == []
    finally:
        for server in (first, second, third):
            if server is not None:
                server.stop()


def test_a_replica_that_is_gone_costs_no_request(folder: Path, callers: Callers, triton: Triton) -> None:
    with (
        Triton(lay_tiny(folder / "two", version=2), log=folder / "log") as other,
        Proxy(folder, callers, [triton.target()]) as proxy,
        running_load(proxy, callers) as load,
    ):
        proxy.switch(triton.target(), other.target())
        load.wait_for_more(30)
        assert set(load.versions()) == {"1", "2"}
        proxy.switch(triton.target())
        other.stop(grace_s=15)
        load.wait_for_more(20)
        # Back in the list although nobody listens there: the proxy finds out and asks the other one.
        proxy.switch(triton.target(), other.target())
        load.wait_for_more(40)
    assert load.failures == []


def test_a_pod_leaves_its_service_without_a_failed_request(folder: Path, callers: Callers, triton: Triton) -> None:
    """A rolling update in Kubernetes, its times cut short: the Service changes, preStop waits, SIGTERM."""
    shipped = (DEPLOY / "kubernetes" / "proxy" / "upstreams.conf").read_text()
    with (
        Triton(lay_tiny(folder / "one", version=2), log=folder / "log") as leaving,
        ClusterIp([leaving.ports.http]) as http,
        ClusterIp([leaving.ports.grpc]) as grpc,
        Proxy(folder, callers, [leaving.target()]) as proxy,
    ):
        upstreams = re.sub(r"(keepalive_time(?:out)?) \d+s", r"\1 1s", shipped)
        for port, service in ((8000, http.port), (8001, grpc.port), (8002, leaving.ports.metrics)):
            upstreams = upstreams.replace(f"segserve-triton:{port}", f"127.0.0.1:{service}")
        (proxy.configuration / "local" / "upstreams.conf").write_text(upstreams)
        proxy.reload()
        with running_load(proxy, callers) as load:
            load.wait_for_more(30)
            http.pods, grpc.pods = [triton.ports.http], [triton.ports.grpc]
            time.sleep(4)  # preStop
            leaving.stop(grace_s=15)
            since = len(load.answers)
            load.wait_for_more(30)
            assert set(load.versions(since)) == {"1"}
        assert load.failures == []


def test_a_canary_gets_its_share(folder: Path, callers: Callers, triton: Triton) -> None:
    with (
        Triton(lay_tiny(folder / "two", version=2), log=folder / "log") as canary,
        Proxy(folder, callers, [triton.target()]) as proxy,
    ):
        proxy.switch(triton.target(weight=9), canary.target(weight=1))
        answers = [infer(proxy, callers).text.rpartition(" ")[2] for _ in range(60)]
    # Each worker process of nginx counts for itself, so the share is not exact.
    assert 1 <= answers.count("2") <= 12


def test_a_switch_to_nonsense_is_refused_and_changes_nothing(proxy: Proxy, callers: Callers) -> None:
    upstreams = proxy.configuration / "local" / "upstreams.conf"
    before = upstreams.read_text()
    for target in ("triton", "triton:8000", "triton:8000:8001:8002=0", "a b:1:2:3", "no-such-host.invalid:1:2:3"):
        with pytest.raises(AssertionError, match=r"is not HOST|nothing was changed"):
            proxy.switch(target)
    assert upstreams.read_text() == before
    assert infer(proxy, callers).status == 200
