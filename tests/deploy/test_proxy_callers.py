"""Who gets in: a certificate of the authority or a token, and nobody else."""

import http.client
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from tritonclient.utils import InferenceServerException

from tests.deploy.callers import ask, grpc_client, grpc_infer, infer
from tests.deploy.processes import run, wait_for
from tests.deploy.proxy import DEPLOY, Callers, Proxy
from tests.deploy.triton import Triton


def test_a_client_certificate_opens_http(proxy: Proxy, callers: Callers) -> None:
    assert infer(proxy, callers).text == "5 bytes from version 1"


def test_a_client_certificate_opens_grpc(proxy: Proxy, callers: Callers) -> None:
    with grpc_client(proxy, callers) as client:
        assert grpc_infer(client) == "5 bytes from version 1"


def test_a_bearer_token_opens_http_and_grpc(proxy: Proxy, callers: Callers) -> None:
    bearer = {"authorization": f"Bearer {callers.token}"}
    assert infer(proxy, callers, client=None, headers=bearer).text == "5 bytes from version 1"
    with grpc_client(proxy, callers, client=None) as client:
        assert grpc_infer(client, headers=bearer) == "5 bytes from version 1"


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer ", "integrator", "Basic cm9vdDpyb290"])
def test_a_stranger_gets_401_in_the_words_of_triton(proxy: Proxy, callers: Callers, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = infer(proxy, callers, client=None, headers=headers)
    assert answer.status == 401
    assert "client certificate" in answer.error


@pytest.mark.parametrize(
    "path", ["/", "/v2", "/v2/health/ready", "/v2/models/echo", "/v2/repository/index", "/metrics"]
)
def test_a_stranger_learns_nothing_of_any_address(proxy: Proxy, callers: Callers, path: str) -> None:
    assert ask(proxy, callers, path, client=None).status == 401


def test_a_stranger_is_unauthenticated_over_grpc(proxy: Proxy, callers: Callers) -> None:
    with grpc_client(proxy, callers, client=None) as client:
        for call in (lambda: grpc_infer(client), client.is_server_live, client.get_model_repository_index):
            with pytest.raises(InferenceServerException, match="client certificate") as error:
                call()
            assert error.value.status() == "StatusCode.UNAUTHENTICATED"


def test_a_certificate_of_another_authority_is_refused(proxy: Proxy, callers: Callers, tmp_path: Path) -> None:
    foreign = Callers.make(tmp_path / "foreign")
    context = ssl.create_default_context(cafile=str(callers.authority))
    context.load_cert_chain(*foreign.certificate())
    connection = http.client.HTTPSConnection("localhost", proxy.port, context=context, timeout=10)
    connection.request("GET", "/v2/health/ready")
    assert connection.getresponse().status == 401
    connection.close()


def test_plain_http_is_not_answered_by_triton(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("localhost", proxy.port, timeout=5)
    connection.request("GET", "/v2/health/ready")
    assert connection.getresponse().status == 400
    connection.close()


def test_old_tls_is_refused(proxy: Proxy) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("localhost", proxy.port), timeout=5) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw)


def test_rotating_callers_and_the_servers_certificate_needs_only_a_reload(triton: Triton, tmp_path: Path) -> None:
    callers = Callers.make(tmp_path / "secrets")
    run(DEPLOY / "certs.sh", "client", callers.folder, "second")
    with Proxy(tmp_path, callers, [triton.target()]) as proxy:
        old = ssl.get_server_certificate(("localhost", proxy.port))
        assert infer(proxy, callers).status == 200

        run(DEPLOY / "certs.sh", "revoke", callers.folder, "first")
        run(DEPLOY / "certs.sh", "server", callers.folder, "localhost", "127.0.0.1")
        token = run(DEPLOY / "certs.sh", "token", callers.folder, "newcomer").strip()
        proxy.reload()
        wait_for(lambda: infer(proxy, callers).status == 401, "the revoked certificate is refused")

        assert infer(proxy, callers, client="second").status == 200
        assert infer(proxy, callers, client=None, headers={"Authorization": f"Bearer {token}"}).status == 200
        assert ssl.get_server_certificate(("localhost", proxy.port)) != old


def test_a_caller_that_comes_too_often_is_told_so_and_another_one_is_not(
    triton: Triton, callers: Callers, tmp_path: Path
) -> None:
    with Proxy(tmp_path, callers, [triton.target()]) as proxy:
        limits = proxy.configuration / "local" / "limits.conf"
        limits.write_text(limits.read_text().replace("rate=100r/s", "rate=1r/m"))
        proxy.reload()
        # The burst that the routes allow is used up first.
        with grpc_client(proxy, callers) as client:
            with pytest.raises(InferenceServerException, match="too many requests") as error:
                _repeat(client.is_server_live, 300)
            assert error.value.status() == "StatusCode.UNAVAILABLE"
        answer = infer(proxy, callers)
        assert (answer.status, "too many requests" in answer.error) == (429, True)
        assert answer.headers["retry-after"] == "1"
        other = infer(proxy, callers, client=None, headers={"Authorization": f"Bearer {callers.token}"})
        assert other.status == 200


def _repeat(call: Callable[[], object], count: int) -> None:
    for _ in range(count):
        call()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["authority", "{made}"], "already has an authority"),
        (["server", "{made}"], "name the server's hosts"),
        (["server", "{empty}", "localhost"], "no authority in"),
        (["client", "{made}", "a/b"], "is no name"),
        (["token", "{empty}", "somebody"], "run 'certs.sh authority"),
        (["revoke", "{made}", "nobody"], "no certificate of nobody"),
        (["unknown", "{made}"], "certs.sh authority FOLDER"),
    ],
)
def test_certs_says_what_is_wrong(callers: Callers, tmp_path: Path, arguments: list[str], said: str) -> None:
    filled = [argument.format(made=callers.folder, empty=tmp_path) for argument in arguments]
    with pytest.raises(AssertionError, match=said):
        run(DEPLOY / "certs.sh", *filled)


def test_keys_are_not_for_everybody(callers: Callers) -> None:
    keys = sorted(callers.folder.rglob("*.key"))
    assert {key.name for key in keys} == {"ca.key", "server.key", "first.key"}
    assert {oct(key.stat().st_mode & 0o777) for key in [*keys, callers.folder / "proxy" / "tokens.map"]} == {"0o640"}
    assert not list((callers.folder / "proxy").glob("ca*"))
