"""The verbs, and what becomes of a call when things go wrong; the same for both clients."""

import asyncio
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from segserve import (
    AsyncClient,
    Client,
    ClientClosedError,
    ContractMismatchError,
    DeadlineExceededError,
    HedgePolicy,
    InvalidImageError,
    InvalidInputError,
    ModelKind,
    ModelNotFoundError,
    OverloadedError,
    RetryPolicy,
    SegserveError,
    ServerConnectionError,
    ServerFaultError,
)
from segserve._wire import Query
from segserve.contract import GEOMETRY, MASK, REPORT
from segserve.testing import FAKE_URL, FakeModel, FakeServer, Step, example_image

TWO = "grpc://one:1,grpc://two:2"
QUICK = RetryPolicy(initial_backoff_s=0.001, max_backoff_s=0.002)
FAULT = "Stub process is not healthy"


def both(client: Client, verb: str, *arguments: Any, **options: Any) -> list[Any]:
    """The outcome of a verb of a client and of its asynchronous twin: results, or errors as values."""

    def synchronous() -> Any:
        return getattr(client, verb)(*arguments, **options)

    async def asynchronous() -> Any:
        settings = client._core.settings
        async with AsyncClient(settings.url, model=settings.model, transport=settings.transport) as twin:
            return await getattr(twin, verb)(*arguments, **options)

    outcomes = []
    for call in (synchronous, lambda: asyncio.run(asynchronous())):
        try:
            outcomes.append(call())
        except SegserveError as error:
            outcomes.append(error)
    return outcomes


def test_both_clients_have_the_same_verbs_with_the_same_parameters() -> None:
    import inspect

    verbs = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    twins = {name for name, _ in inspect.getmembers(AsyncClient, inspect.isfunction) if not name.startswith("_")}
    assert (
        verbs
        == twins
        == {*("segment", "segment_many", "probability", "model", "models", "health", "wait_ready", "close")}
    )
    for verb in verbs:
        parameters = [list(inspect.signature(getattr(kind, verb)).parameters) for kind in (Client, AsyncClient)]
        assert parameters[0] == parameters[1]


def test_the_recorded_example_comes_back(segserve_client: Client) -> None:
    for result in both(segserve_client, "segment", example_image()):
        assert result.report.classes["hemorrhage"].lesion_count == 132


def test_verbs_agree(fake: FakeServer, png: bytes) -> None:
    with fake.client() as client:
        first, second = both(client, "segment", png, request_id="r-1")
        assert first == second
        first, second = both(client, "probability", png)
        assert first.levels_bytes == second.levels_bytes
        for verb in ("model", "models", "health"):
            first, second = both(client, verb)
            assert first == second


def test_a_model_describes_itself() -> None:
    with FakeServer(FakeModel("bones", classes=("ulna", "radius"), grid=32)).client() as client:
        info = client.model()
        assert (info.name, dict(info.classes), info.grid, info.kind, info.versions) == (
            "bones",
            {"ulna": "#e6194b", "radius": "#3cb44b"},
            (32, 32),
            ModelKind.REPORT,
            ("1",),
        )
        assert [model.name for model in client.models()] == ["bones", "bones_probability"]


def test_models_of_a_server_that_lists_none_are_asked_for_by_name(fake: FakeServer) -> None:
    fake.closed.add(Query.INDEX)
    with fake.client(model=None) as client:
        assert len(client.models()) == 2
    fake.closed.add(Query.STATISTICS)
    with fake.client() as client:
        assert [model.name for model in client.models()] == ["fundus_hemorrhage", "fundus_hemorrhage_probability"]
    with fake.client(model=None) as client, pytest.raises(SegserveError, match="restricted"):
        client.models()


def test_models_of_other_contracts_are_refused_and_foreign_ones_left_out(fake: FakeServer) -> None:
    fake.models["next"] = FakeModel("next", contract_version="2.0")
    with fake.client(model="next") as client:
        for outcome in both(client, "model"):
            assert isinstance(outcome, ContractMismatchError)
            assert "2.0" in str(outcome)


def test_health_says_what_is_wrong_with_each_endpoint(fake: FakeServer) -> None:
    fake.take_down("grpc://two:2")
    with fake.client(TWO) as client:
        for health in both(client, "health"):
            assert health.ready
            assert [(each.live, each.ready, each.model_ready) for each in health.endpoints] == [
                (True, True, True),
                (False, False, None),
            ]
            assert "refused" in health.endpoints[1].problem
        fake.ready = False
        assert not client.health().ready
        with pytest.raises(ServerConnectionError, match="no server became ready"):
            client.wait_ready(timeout_s=0.2)
        threading.Timer(0.1, setattr, (fake, "ready", True)).start()
        assert client.wait_ready(timeout_s=20).ready


def test_a_hanging_endpoint_does_not_hold_up_health(png: bytes) -> None:
    class Hanging(FakeServer):
        def connect(self, endpoint: Any, tls: Any) -> Any:
            transport = super().connect(endpoint, tls)

            async def hang(*arguments: Any, **options: Any) -> None:
                await asyncio.sleep(60)

            transport.query = hang  # type: ignore[method-assign,assignment]
            return transport

    with Hanging().client() as client:
        assert client.health(timeout_s=0.05).endpoints[0].problem == "no answer in time"


@pytest.mark.parametrize(
    "error",
    [
        OverloadedError("Exceeds maximum queue size"),
        ServerConnectionError("reset"),
        ServerFaultError(FAULT),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_tried_again(fake: FakeServer, png: bytes, error: SegserveError) -> None:
    fake.script(error, error)
    with fake.client(retry=QUICK) as client:
        assert client.segment(png).report.classes["hemorrhage"].lesion_count == 1
        assert client.counters.retries == 2
    assert len({seen.request_id for seen in fake.seen}) == 1


@pytest.mark.parametrize(
    "error",
    [
        InvalidImageError("the image is empty"),
        ModelNotFoundError("no such model"),
        ServerFaultError("internal error, incident 0123abcd", incident_id="0123abcd"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_cannot_pass_is_not_tried_again(fake: FakeServer, png: bytes, error: SegserveError) -> None:
    fake.script(error)
    with fake.client(retry=QUICK) as client:
        with pytest.raises(type(error)) as caught:
            client.segment(png, request_id="mine")
        assert client.counters.attempts == client.counters.failed_calls == 1
    assert (caught.value.request_id, caught.value.model) == ("mine", "fundus_hemorrhage")
    assert caught.value.endpoint == FAKE_URL
    assert caught.value.elapsed_s is not None


def test_a_request_that_breaks_the_server_each_time_is_given_up(fake: FakeServer, png: bytes) -> None:
    fake.script(*[ServerFaultError(FAULT)] * 9)
    with fake.client(retry=RetryPolicy(max_server_faults=2, initial_backoff_s=0.001, max_backoff_s=0.002)) as client:
        with pytest.raises(ServerFaultError):
            client.segment(png)
        assert client.counters.attempts == 3


def test_faults_of_the_server_are_followed_by_the_longest_pause_and_twice_that(fake: FakeServer, png: bytes) -> None:
    fake.script(ServerFaultError(FAULT), ServerFaultError(FAULT))
    with fake.client(retry=RetryPolicy(initial_backoff_s=0.001, max_backoff_s=0.4)) as client:
        started = time.monotonic()
        client.segment(png)
        assert time.monotonic() - started >= 0.2 + 0.4


def test_attempts_can_be_limited(fake: FakeServer, png: bytes) -> None:
    fake.script(*[ServerConnectionError("reset")] * 9)
    with fake.client(retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(ServerConnectionError):
            client.segment(png)
        assert client.counters.attempts == 1


def test_a_full_server_is_reported_as_such_when_the_budget_ends(fake: FakeServer, png: bytes) -> None:
    fake.script(*[OverloadedError("Exceeds maximum queue size")] * 1000)
    with fake.client(timeout_s=0.3) as client:
        with pytest.raises(OverloadedError) as caught:
            client.segment(png)
        assert caught.value.attempts == client.counters.attempts > 1
        assert caught.value.retry_after_s == 1.0
        assert not caught.value.is_stated


def test_the_servers_own_word_on_when_to_come_back_is_heeded(fake: FakeServer, png: bytes) -> None:
    with fake.client(timeout_s=20, retry=QUICK) as client:
        fake.script(OverloadedError("busy", retry_after_s=0.3))
        client.segment(png)
        assert fake.seen[0].timeout_s - fake.seen[1].timeout_s >= 0.3
        fake.script(OverloadedError("busy", retry_after_s=30))
        with pytest.raises(OverloadedError) as caught:
            client.segment(png)
    assert (caught.value.attempts, caught.value.retry_after_s) == (1, 30)


@pytest.mark.parametrize(
    "header", [("Content-Encoding", "gzip"), ("x y", "1"), ("x", "two\nlines"), ("x", "\u00e4")], ids=repr
)
def test_headers_that_cannot_or_must_not_be_sent_are_refused(
    fake: FakeServer, png: bytes, header: tuple[str, str]
) -> None:
    with fake.client() as client, pytest.raises(InvalidInputError, match=r"header"):
        client.segment(png, headers=dict([header]))


def test_an_attempt_in_the_last_moments_does_not_hide_what_was_wrong(fake: FakeServer, png: bytes) -> None:
    fake.script(Step(delay_s=1.85, error=OverloadedError("Exceeds maximum queue size")), Step(delay_s=60))
    with fake.client(timeout_s=2.0, retry=QUICK) as client:
        with pytest.raises(OverloadedError):
            client.segment(png)
        fake.script(Step(delay_s=0.05, error=OverloadedError("Exceeds maximum queue size")), Step(delay_s=60))
        with pytest.raises(DeadlineExceededError):
            client.segment(png)


def test_the_budget_covers_all_attempts_and_reaches_the_server(fake: FakeServer, png: bytes) -> None:
    fake.script(Step(delay_s=0.2, error=ServerConnectionError("reset")), Step(delay_s=60))
    with fake.client(timeout_s=0.5, retry=QUICK) as client, pytest.raises(DeadlineExceededError):
        client.segment(png)
    assert fake.seen[0].timeout_s <= 0.5
    assert fake.seen[1].timeout_s <= 0.3
    assert fake.cancelled == 1


def test_another_endpoint_is_tried_first(fake: FakeServer, png: bytes) -> None:
    fake.take_down("grpc://one:1")
    slow_to_repeat = RetryPolicy(initial_backoff_s=50, max_backoff_s=50)
    with fake.client(TWO, retry=slow_to_repeat, timeout_s=60) as client:
        for _ in range(4):
            client.segment(png)
        assert client.counters.failovers == 1  # the one that failed rests
    assert {seen.endpoint for seen in fake.seen} == {"grpc://two:2"}


def test_a_fault_of_one_image_does_not_rest_its_endpoint(fake: FakeServer, png: bytes) -> None:
    with fake.client(TWO) as client:
        for error in (ServerFaultError("internal error, incident 0123abcd", incident_id="0123abcd"),) * 2:
            fake.script(error)
            with pytest.raises(ServerFaultError):
                client.segment(png)
        client.segment(png)
    assert [seen.endpoint[7:10] for seen in fake.seen] == ["one", "two", "one"]


def test_endpoints_take_turns(fake: FakeServer, png: bytes) -> None:
    with fake.client(TWO) as client:
        for _ in range(4):
            client.segment(png)
    assert [seen.endpoint for seen in fake.seen] == ["grpc://one:1", "grpc://two:2"] * 2


def test_a_late_answer_is_hedged_and_the_loser_cancelled(fake: FakeServer, png: bytes) -> None:
    hedge = HedgePolicy(percentile=50, min_delay_s=0.02, min_samples=3)
    with fake.client(TWO, hedge=hedge) as client:
        for _ in range(3):
            client.segment(png)
        fake.script(Step(delay_s=60))
        client.segment(png)
        counters = client.counters
    assert (counters.hedges, counters.hedges_won, counters.attempts) == (1, 1, 5)
    assert fake.cancelled == 1
    assert fake.seen[3].endpoint != fake.seen[4].endpoint


def test_a_hedge_that_fails_leaves_the_first_request_its_chance(fake: FakeServer, png: bytes) -> None:
    with fake.client(hedge=HedgePolicy(percentile=50, min_delay_s=0.01, min_samples=1)) as client:
        client.segment(png)
        fake.script(Step(delay_s=0.2), InvalidImageError("bad luck"))
        assert client.segment(png)
        assert (client.counters.hedges, client.counters.hedges_won) == (1, 0)


def test_headers_and_tokens_go_with_each_call(fake: FakeServer, png: bytes) -> None:
    tokens = iter("ab")
    with fake.client(headers={"x-site": "1", "x-ward": "2"}, token=lambda: next(tokens)) as client:
        client.segment(png, headers={"x-ward": "3"})
        client.segment(png)
        client.segment(png, token="mine")
    assert [seen.headers for seen in fake.seen] == [
        {"x-site": "1", "x-ward": "3", "authorization": "Bearer a"},
        {"x-site": "1", "x-ward": "2", "authorization": "Bearer b"},
        {"x-site": "1", "x-ward": "2", "authorization": "Bearer mine"},
    ]


def test_secrets_and_images_are_in_no_representation(fake: FakeServer, png: bytes) -> None:
    with fake.client(token="s3cret", headers={"x": "s3cret"}) as client:
        result = client.segment(png)
        fake.script(InvalidImageError("bad"))
        with pytest.raises(InvalidImageError) as caught:
            client.segment(png)
        assert "s3cret" not in repr(client._core.settings)
    assert "PNG" not in repr(result) + repr(caught.value) + str(caught.value) + repr(caught.value.__dict__)


@pytest.mark.parametrize("output", [REPORT, MASK])
def test_an_answer_without_an_output_is_a_mismatch(fake: FakeServer, png: bytes, output: str) -> None:
    fake.script(Step(change=lambda outputs: outputs.pop(output)))  # type: ignore[arg-type,return-value]
    with fake.client() as client, pytest.raises(ContractMismatchError, match=output) as caught:
        client.segment(png)
    assert caught.value.request_id


def test_an_answer_for_another_image_is_refused(fake: FakeServer, png: bytes) -> None:
    other = FakeModel().answer(example_image(), (REPORT, MASK, GEOMETRY))
    fake.script(Step(change=lambda outputs: outputs.update(other)))
    with fake.client() as client, pytest.raises(ContractMismatchError, match="another image"):
        client.segment(png)


def test_a_newer_server_is_named_as_such(png: bytes) -> None:
    with FakeServer(FakeModel(contract_version="2.0")).client() as client:
        for outcome in both(client, "segment", png) + both(client, "probability", png):
            assert isinstance(outcome, ContractMismatchError)
            assert "update segserve" in str(outcome)


@pytest.mark.parametrize("timeout_s", [0, -1, float("inf"), float("nan")])
def test_a_senseless_budget_is_refused(fake: FakeServer, png: bytes, timeout_s: float) -> None:
    with pytest.raises(InvalidInputError, match="timeout_s"):
        fake.client(timeout_s=timeout_s)
    with fake.client() as client, pytest.raises(InvalidInputError, match="timeout_s"):
        client.segment(png, timeout_s=timeout_s)


def test_a_call_needs_a_model_and_an_image(fake: FakeServer) -> None:
    with fake.client(model=None) as client:
        with pytest.raises(InvalidInputError, match="no model named"):
            client.segment(b"")
        with pytest.raises(InvalidInputError, match="cannot read") as caught:
            client.segment("nowhere.jpg", model="fundus_hemorrhage")
    assert caught.value.request_id


def test_a_closed_client_says_so(fake: FakeServer, png: bytes) -> None:
    client = fake.client()
    client.segment(png)
    client.close()
    client.close()
    for verb in (lambda: client.segment(png), client.health, client.models):
        with pytest.raises(ClientClosedError, match="closed"):
            verb()


def test_closing_ends_calls_that_still_run(fake: FakeServer, png: bytes) -> None:
    fake.script(Step(delay_s=60))
    client = fake.client()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.segment, png)
        while not fake.seen:
            time.sleep(0.01)
        client.close()
        with pytest.raises(ClientClosedError, match="during the call"):
            running.result(timeout=20)
    assert fake.cancelled == 1


def test_200_threads_share_one_client(fake: FakeServer, png: bytes) -> None:
    fake.delay_s = 0.02
    with fake.client() as client, ThreadPoolExecutor(200) as pool:
        results = list(pool.map(lambda i: client.segment(png, request_id=f"r{i}"), range(200)))
        assert client.counters.calls == 200
    assert [result.request_id for result in results] == [f"r{i}" for i in range(200)]


def test_a_dropped_client_ends_its_thread(fake: FakeServer, png: bytes) -> None:
    client = fake.client()
    client.segment(png)
    thread = client._portal._thread
    assert thread is not None
    del client
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_a_program_may_end_without_closing_its_client() -> None:
    script = (
        "from segserve.testing import FakeServer, example_image; client = FakeServer().client(); "
        "print(client.segment(example_image()).report.classes['hemorrhage'].lesion_count)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_cancelling_a_task_cancels_its_request(fake: FakeServer, png: bytes) -> None:
    async def main() -> None:
        fake.script(Step(delay_s=60))
        async with fake.async_client() as client:
            task = asyncio.create_task(client.segment(png))
            while not fake.seen:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert fake.cancelled == 1


def test_an_async_client_outlives_its_event_loop(fake: FakeServer, png: bytes) -> None:
    client = fake.async_client()
    for _ in range(2):
        assert asyncio.run(client.segment(png)).report
    asyncio.run(client.close())


def test_results_cross_process_borders(fake: FakeServer, png: bytes) -> None:
    with fake.client() as client:
        result, probability = client.segment(png), client.probability(png)
    assert pickle.loads(pickle.dumps(result)) == result
    assert pickle.loads(pickle.dumps(probability)).levels_bytes == probability.levels_bytes
