"""Both transports over real sockets: bytes, errors, deadlines, TLS, forks."""

import asyncio
import multiprocessing
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import trustme
from segserve import (
    AsyncClient,
    Client,
    ClientClosedError,
    DeadlineExceededError,
    InvalidImageError,
    InvalidInputError,
    ModelNotFoundError,
    OverloadedError,
    RetryPolicy,
    SegserveError,
    ServerConnectionError,
    ServerFaultError,
    Tls,
    TlsError,
)
from segserve._grpc import _fork_guard
from segserve.testing import FakeServer, Step, example_image

from client.tests.loopback import GrpcLoopback, HttpLoopback

Loopback = GrpcLoopback | HttpLoopback
ONCE = RetryPolicy(max_attempts=1)


def connect(loopback: Loopback, **settings: object) -> Client:
    """A client of a loopback server."""
    return Client(loopback.url, **{"model": "fundus_hemorrhage", "timeout_s": 30, **settings})  # type: ignore[arg-type]


def test_both_protocols_give_the_same_bytes(fake: FakeServer) -> None:
    with GrpcLoopback(fake) as one, HttpLoopback(fake) as other, connect(one) as first, connect(other) as second:
        results = [client.segment(example_image(), request_id="r") for client in (first, second)]
        maps = [client.probability(example_image(), request_id="r") for client in (first, second)]
        assert results[0] == results[1]
        assert maps[0] == maps[1]
        assert first.models() == second.models()
        assert first.model("fundus_hemorrhage_probability") == second.model("fundus_hemorrhage_probability")


def test_all_verbs_work_asynchronously(loopback: Loopback, png: bytes) -> None:
    async def main() -> None:
        async with AsyncClient(loopback.url, model="fundus_hemorrhage") as client:
            results = await asyncio.gather(*(client.segment(png) for _ in range(5)))
            assert len({result.mask_pngs for result in results}) == 1
            assert (await client.wait_ready()).ready
            assert [item.ok async for item in client.segment_many([png, png])] == [True, True]

    asyncio.run(main())


def test_an_async_client_may_be_used_in_one_event_loop_after_the_other(loopback: Loopback, png: bytes) -> None:
    client = AsyncClient(loopback.url, model="fundus_hemorrhage")
    for _ in range(2):
        assert asyncio.run(client.segment(png)).report
    asyncio.run(client.close())


def test_an_event_loop_that_ends_early_leaves_nothing_behind(loopback: Loopback, fake: FakeServer, png: bytes) -> None:
    fake.script(Step(delay_s=0.3))
    client = AsyncClient(loopback.url, model="fundus_hemorrhage")

    async def abandon() -> None:
        task = asyncio.create_task(client.segment(png))
        await asyncio.sleep(0.1)
        del task

    asyncio.run(abandon())
    time.sleep(0.4)  # the answer that nobody waits for
    assert asyncio.run(client.segment(png)).report
    asyncio.run(client.close())


@pytest.mark.parametrize(
    "error",
    [
        InvalidImageError("the image is empty"),
        ServerFaultError("internal error, incident 0123abcd"),
        OverloadedError("Exceeds maximum queue size"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_arrive_as_what_they_are(loopback: Loopback, fake: FakeServer, png: bytes, error: SegserveError) -> None:
    fake.script(error)
    with connect(loopback, retry=ONCE) as client, pytest.raises(type(error)) as caught:
        client.segment(png)
    assert caught.value.message == error.message
    assert caught.value.endpoint == loopback.url
    if isinstance(caught.value, ServerFaultError):
        assert caught.value.incident_id == "0123abcd"


def test_the_servers_word_on_when_to_come_back_arrives(loopback: Loopback, fake: FakeServer, png: bytes) -> None:
    loopback.retry_after = "7"
    fake.script(OverloadedError("Exceeds maximum queue size"))
    with connect(loopback, retry=ONCE) as client, pytest.raises(OverloadedError) as caught:
        client.segment(png)
    assert (caught.value.retry_after_s, caught.value.is_stated) == (7.0, True)


def test_an_unknown_model_is_not_found(loopback: Loopback, png: bytes) -> None:
    with connect(loopback) as client:
        for verb in (client.segment, client.probability):
            with pytest.raises(ModelNotFoundError):
                verb(png, model="nope")
        with pytest.raises(ModelNotFoundError):
            client.model("nope")
        assert client.health().endpoints[0].model_ready
    with connect(loopback, model="nope") as client:
        assert client.health().endpoints[0].model_ready is False


def test_readiness_is_asked_for(loopback: Loopback, fake: FakeServer) -> None:
    fake.ready = False
    with connect(loopback) as client:
        health = client.health()
    assert (health.ready, health.endpoints[0].live, health.endpoints[0].server_version) == (False, True, "loopback")


def test_the_budget_reaches_the_server_and_its_end_cancels_there(
    loopback: Loopback, fake: FakeServer, png: bytes
) -> None:
    fake.script(Step(delay_s=60))
    with connect(loopback) as client:
        with pytest.raises(DeadlineExceededError):
            client.segment(png, timeout_s=0.3)
        loopback.wait_until_cancelled()
    assert 0 < loopback.timeout_us <= 300_000


def test_headers_and_token_are_sent(loopback: Loopback, png: bytes) -> None:
    with connect(loopback, token="t", headers={"X-Site": "7"}) as client:
        client.segment(png)
    assert loopback.headers["authorization"] == "Bearer t"
    assert loopback.headers["x-site"] == "7"


def test_a_large_image_goes_through(loopback: Loopback) -> None:
    with connect(loopback, retry=ONCE) as client, pytest.raises(InvalidImageError, match="not a readable image"):
        client.segment(bytes(60_000_000))


def test_threads_share_a_client(loopback: Loopback, png: bytes) -> None:
    with connect(loopback) as client, ThreadPoolExecutor(50) as pool:
        results = list(pool.map(lambda i: client.segment(png, request_id=f"r{i}").request_id, range(100)))
    assert results == [f"r{i}" for i in range(100)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("kind", [GrpcLoopback, HttpLoopback])
def test_a_server_that_is_not_there_yet_is_waited_for(kind: type[Loopback], fake: FakeServer, png: bytes) -> None:
    port = _free_port()
    with Client(f"{kind.scheme}://127.0.0.1:{port}", model="fundus_hemorrhage", timeout_s=60) as client:
        with pytest.raises(ServerConnectionError):
            client.segment(png, timeout_s=0.5)
        assert "refused" in client.health(timeout_s=2).endpoints[0].problem.lower()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.segment, png)
            time.sleep(0.3)
            with kind(fake, port=port):  # type: ignore[call-arg]
                assert waiting.result().report
        assert client.counters.retries > 0


@pytest.mark.parametrize("kind", [GrpcLoopback, HttpLoopback])
def test_a_server_may_restart_between_calls(kind: type[Loopback], fake: FakeServer, png: bytes) -> None:
    port = _free_port()
    with Client(f"{kind.scheme}://127.0.0.1:{port}", model="fundus_hemorrhage", timeout_s=60) as client:
        for _ in range(3):
            with kind(fake, port=port):  # type: ignore[call-arg]
                assert client.segment(png).report


def _scripted_http(answer: bytes) -> tuple[socket.socket, threading.Thread]:
    """A server that gives one fixed answer to every connection until its socket is closed."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1 << 20)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return listener, thread


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops", ServerConnectionError),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n", OverloadedError),
        (b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", OverloadedError),
        (b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n", InvalidImageError),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", ServerFaultError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off", ServerConnectionError),
        (b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n", SegserveError),
        (b"SSH-2.0-OpenSSH\r\n", ServerConnectionError),
    ],
    ids=lambda value: value[:16].decode() if isinstance(value, bytes) else value.__name__,
)
def test_what_proxies_answer_is_understood(answer: bytes, expected: type[SegserveError], png: bytes) -> None:
    listener, thread = _scripted_http(answer)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Client(url, model="m", retry=ONCE) as client:
        with pytest.raises(expected) as caught:
            client.segment(png)
        if isinstance(caught.value, OverloadedError):
            assert caught.value.retry_after_s == (9.0 if b"Retry-After" in answer else 1.0)
        problem = client.health(timeout_s=5).endpoints[0].problem
        assert bool(problem) is (b"503" not in answer[:12] and b"200" not in answer[:12]) or problem
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def tls_files(authority: trustme.CA, tmp_path: Path) -> Tls:
    """A client's own certificate and the authority that signed the server's."""
    own = authority.issue_cert("client@example.org")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    own.private_key_pem.write_to_path(tmp_path / "client.key")
    return Tls(tmp_path / "ca.pem", tmp_path / "client.pem", tmp_path / "client.key")


def _secure(kind: str, fake: FakeServer, authority: trustme.CA, host: str = "localhost") -> Loopback:
    """A server that demands a client certificate."""
    certificate = authority.issue_cert(host)
    chain, key = certificate.cert_chain_pems[0].bytes(), certificate.private_key_pem.bytes()
    if kind == "grpc":
        credentials = grpc.ssl_server_credentials([(key, chain)], authority.cert_pem.bytes(), True)
        return GrpcLoopback(fake, credentials)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return HttpLoopback(fake, context)


def _secure_url(kind: str, server: Loopback) -> str:
    return f"{'grpcs' if kind == 'grpc' else 'https'}://localhost:{server.port}"


protocols = pytest.mark.parametrize("kind", ["grpc", "http"])


@protocols
def test_mutual_tls(kind: str, fake: FakeServer, authority: trustme.CA, tls_files: Tls, png: bytes) -> None:
    with (
        _secure(kind, fake, authority) as server,
        Client(_secure_url(kind, server), model="fundus_hemorrhage", tls=tls_files) as client,
    ):
        assert client.segment(png).report


@protocols
def test_a_server_may_go_by_another_name(
    kind: str, fake: FakeServer, authority: trustme.CA, tls_files: Tls, png: bytes
) -> None:
    named = Tls(tls_files.ca_file, tls_files.certificate_file, tls_files.key_file, "triton.hospital")
    with (
        _secure(kind, fake, authority, host="triton.hospital") as server,
        Client(_secure_url(kind, server), model="fundus_hemorrhage", tls=named) as client,
    ):
        assert client.segment(png).report


@protocols
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_wrong_certificate_is_said_and_not_retried(
    kind: str, fake: FakeServer, authority: trustme.CA, png: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        _secure(kind, fake, authority) as server,
        Client(_secure_url(kind, server), model="fundus_hemorrhage", timeout_s=30) as client,
    ):
        with pytest.raises(TlsError, match=r"(?i)certificate|handshake|ssl"):
            client.segment(png)
        assert client.counters.attempts == 1


def test_unusable_tls_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("not a certificate")
    for name in ("bad.pem", "missing.pem"):
        client = Client("https://localhost:1", tls=Tls(ca_file=tmp_path / name))
        with client, pytest.raises(InvalidInputError, match=name):
            client.segment(b"x", model="m")


def _in_child(client: Client, image: bytes, answers: "multiprocessing.SimpleQueue[str]") -> None:
    try:
        with client:
            answers.put(client.segment(image, timeout_s=20).report.model.name)
    except SegserveError as error:
        answers.put(type(error).__name__)


def _fork(client: Client, image: bytes) -> str:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(client, image, answers))
    child.start()
    child.join(timeout=60)
    if child.is_alive():
        child.kill()
        return "hung"
    return answers.get()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_may_use_its_parents_client(loopback: Loopback, png: bytes) -> None:
    with connect(loopback) as client:
        assert client.segment(png).report
        if loopback.scheme == "http":  # the gRPC server of this test lives in the parent and must not be forked
            assert _fork(client, png) == "fundus_hemorrhage"
        assert client.segment(png).report


def test_a_fork_in_the_middle_of_grpc_calls_is_said_instead_of_hanging(fake: FakeServer, png: bytes) -> None:
    with GrpcLoopback(fake) as loopback, connect(loopback) as client:
        client.segment(png)
        _fork_guard._in_flight += 1
        try:
            _fork_guard._reset()
            with pytest.raises(ClientClosedError, match="forked while calls were in flight"):
                client.segment(png)
        finally:
            _fork_guard.broken = False
