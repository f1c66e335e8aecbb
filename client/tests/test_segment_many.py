"""Runs over many images."""

import asyncio
import contextlib
import gc
import json
import signal
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from segserve import (
    ClientClosedError,
    InvalidImageError,
    InvalidInputError,
    Item,
    Journal,
    JournalError,
    Named,
    Progress,
    SegserveError,
)
from segserve.testing import FakeServer, Step


def run(fake: FakeServer, images: Any, *, kind: str, **options: Any) -> list[Item]:
    """All items of a run, by either client."""
    if kind == "sync":
        with fake.client() as client:
            return list(client.segment_many(images, **options))

    async def main() -> list[Item]:
        async with fake.async_client() as client:
            return [item async for item in client.segment_many(images, **options)]

    return asyncio.run(main())


twins = pytest.mark.parametrize("kind", ["sync", "async"])


@twins
def test_items_come_in_order_and_hold_a_result_or_an_error(fake: FakeServer, png: bytes, kind: str) -> None:
    fake.script(Step(delay_s=0.1))
    items = run(fake, [png, b"", Named("third", png), "nowhere.jpg"], kind=kind)
    assert [(item.index, item.name, item.ok) for item in items] == [
        (0, "#0", True),
        (1, "#1", False),
        (2, "third", True),
        (3, "nowhere.jpg", False),
    ]
    assert items[0].unwrap() is items[0].result
    with pytest.raises(InvalidImageError):
        items[1].unwrap()


@twins
def test_items_come_as_completed_on_request(fake: FakeServer, png: bytes, kind: str) -> None:
    fake.script(Step(delay_s=0.5))
    items = run(fake, [png] * 8, kind=kind, ordered=False, concurrency=2)
    assert sorted(item.index for item in items) == list(range(8))
    assert items[0].index != 0


@twins
def test_a_folder_is_searched(fake: FakeServer, folder: Path, kind: str) -> None:
    items = run(fake, folder, kind=kind)
    assert [Path(item.name).name for item in items] == ["a.png", "b.png", "c.png"]


@twins
def test_no_more_images_are_taken_than_can_be_worked_on(fake: FakeServer, png: bytes, kind: str) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield png

    def look(item: Item) -> None:
        assert taken <= item.index + 1 + 2 * 3

    if kind == "async":

        async def main() -> None:
            async with (
                fake.async_client() as client,
                contextlib.aclosing(client.segment_many(endless(), concurrency=3)) as items,
            ):
                async for item in items:
                    look(item)
                    if item.index == 20:
                        break

        asyncio.run(main())
    else:
        with fake.client() as client:
            for item in client.segment_many(endless(), concurrency=3):
                look(item)
                if item.index == 20:
                    break


def test_results_that_were_handed_out_are_not_kept(fake: FakeServer, png: bytes) -> None:
    alive: list[weakref.ref[Any]] = []
    with fake.client() as client:
        for item in client.segment_many((png for _ in range(60)), concurrency=2):
            alive.append(weakref.ref(item.unwrap()))
            del item
        gc.collect()
        assert sum(1 for reference in alive if reference() is not None) <= 1


@twins
def test_concurrency_is_a_limit(fake: FakeServer, png: bytes, kind: str) -> None:
    fake.delay_s = 0.02
    peak = 0

    def watch(progress: Progress) -> None:
        nonlocal peak
        peak = max(peak, len(fake.seen) - progress.done)

    run(fake, [png] * 30, kind=kind, concurrency=3, progress=watch)
    assert 1 < peak <= 3 + 2 * 3


def test_images_may_come_asynchronously(fake: FakeServer, png: bytes) -> None:
    async def images() -> AsyncIterator[bytes]:
        for _ in range(5):
            await asyncio.sleep(0)
            yield png

    async def main() -> int:
        async with fake.async_client() as client:
            return len([item async for item in client.segment_many(images())])

    assert asyncio.run(main()) == 5


@twins
def test_a_run_stops_at_the_first_error_on_request(fake: FakeServer, png: bytes, kind: str) -> None:
    with pytest.raises(InvalidImageError):
        run(fake, [png, b"", *[png] * 100], kind=kind, stop_on_error=True, concurrency=2)
    assert len(fake.seen) < 20


def test_leaving_the_loop_cancels_what_is_in_flight(fake: FakeServer, png: bytes) -> None:
    fake.script(Step(), Step(delay_s=60), Step(delay_s=60))
    with fake.client() as client:
        for _ in client.segment_many([png] * 9, concurrency=3):
            while len(fake.seen) < 3:
                time.sleep(0.01)
            break
        gc.collect()
        for _ in range(500):
            if fake.cancelled == 2:
                break
            time.sleep(0.02)
    assert fake.cancelled == 2


@twins
def test_closing_the_client_ends_a_run(fake: FakeServer, png: bytes, kind: str) -> None:
    fake.script(*[Step(delay_s=60)] * 4)

    def close_when_busy(close: Callable[[], object]) -> threading.Thread:
        def wait() -> None:
            while not fake.seen:
                time.sleep(0.01)
            close()

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    async def main() -> None:
        client = fake.async_client()
        thread = close_when_busy(client._portal.close)
        with pytest.raises(ClientClosedError):
            _ = [item async for item in client.segment_many([png] * 4)]
        thread.join()

    if kind == "async":
        asyncio.run(main())
    else:
        client = fake.client()
        thread = close_when_busy(client.close)
        with pytest.raises(ClientClosedError):
            list(client.segment_many([png] * 4))
        thread.join()


@twins
def test_progress_is_reported(fake: FakeServer, png: bytes, kind: str) -> None:
    seen: list[Progress] = []
    run(fake, [png, b"", png], kind=kind, progress=seen.append)
    assert [(each.done, each.failed, each.total) for each in seen] == [(1, 0, 3), (2, 1, 3), (3, 1, 3)]
    run(fake, iter([png]), kind=kind, progress=seen.append)
    assert seen[-1].total is None


def test_the_bar_is_one_line_on_standard_error(
    fake: FakeServer, png: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    run(fake, [png, b"", png, png], kind="sync", progress=True)
    captured = capsys.readouterr()
    last = captured.err.rstrip("\n").split("\r")[-1]
    assert captured.out == ""
    assert "[########################]" in last
    assert "4/4" in last
    assert "1 failed" in last
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"concurrency": 1000}, {"model": ""}])
def test_unusable_options_are_refused_before_anything_is_sent(fake: FakeServer, options: dict[str, Any]) -> None:
    with fake.client(model=None) as client, pytest.raises(InvalidInputError):
        client.segment_many([], **{"model": "m", **options})


@twins
def test_a_journal_makes_an_interrupted_run_go_on(fake: FakeServer, folder: Path, tmp_path: Path, kind: str) -> None:
    journal = tmp_path / "run" / "journal.jsonl"
    with fake.client() as client:
        for item in client.segment_many(folder, journal=journal, concurrency=1):
            assert item.ok
            if item.index == 1:
                break  # not recorded: the program has not asked for the next one
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [Path(line["name"]).name for line in lines[1:]] == ["a.png"]
    rest = run(fake, folder, kind=kind, journal=str(journal))
    assert [Path(item.name).name for item in rest] == ["b.png", "c.png"]
    assert run(fake, folder, kind=kind, journal=journal) == []


def test_failed_images_are_tried_again_by_the_next_run(fake: FakeServer, png: bytes, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    images = [Named("good", png), Named("bad", b"")]
    assert [item.ok for item in run(fake, images, kind="sync", journal=journal)] == [True, False]
    assert [item.name for item in run(fake, images, kind="sync", journal=journal)] == ["bad"]
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    assert entries[2] | {"request_id": ""} == {
        "name": "bad",
        "ok": False,
        "request_id": "",
        "error": "InvalidImageError",
        "message": "the image is empty (0 bytes)",
    }


def test_an_image_that_occurs_several_times_is_done_as_often(fake: FakeServer, png: bytes, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    run(fake, [Named("same", png)] * 3, kind="sync", journal=journal)
    used = Journal(journal, model="fundus_hemorrhage")
    again = run(fake, [Named("same", png)] * 5, kind="sync", journal=used)
    assert [item.index for item in again] == [3, 4]
    assert used.skipped == 3


def test_skipped_images_count_as_progress(fake: FakeServer, png: bytes, tmp_path: Path) -> None:
    seen: list[Progress] = []
    journal = tmp_path / "journal"
    run(fake, [Named("a", png)], kind="sync", journal=journal)
    run(fake, [Named("a", png), Named("b", png)], kind="sync", journal=journal, progress=seen.append)
    assert (seen[-1].skipped, seen[-1].done, seen[-1].total) == (1, 1, 2)


def test_a_line_that_a_crash_cut_short_is_dropped(fake: FakeServer, png: bytes, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    run(fake, [Named("a", png), Named("b", png)], kind="sync", journal=journal)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-7])
    assert [i.name for i in run(fake, [Named("a", png), Named("b", png)], kind="sync", journal=journal)] == ["b"]
    assert len(journal.read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"segserve_journal": 1, "model": "other"}\n', "belongs to model other"),
        ('{"segserve_journal": 9, "model": "fundus_hemorrhage"}\n', "not a journal of this version"),
        ("something else\n", "line 1 .* damaged"),
        ("[]\n", "line 1 .* damaged"),
        ('{"segserve_journal": 1, "model": "fundus_hemorrhage"}\n{"no": "name"}\n', "line 2 .* damaged"),
    ],
)
def test_a_journal_that_does_not_fit_is_refused(fake: FakeServer, tmp_path: Path, content: str, message: str) -> None:
    journal = tmp_path / "journal"
    journal.write_text(content)
    with fake.client() as client, pytest.raises(JournalError, match=message):
        client.segment_many([], journal=journal)
    assert journal.read_text() == content


def test_a_journal_that_cannot_be_written_is_refused(fake: FakeServer, tmp_path: Path) -> None:
    with fake.client() as client, pytest.raises(JournalError, match="cannot use the journal"):
        client.segment_many([], journal=tmp_path)


@twins
def test_an_interrupt_leaves_the_journal_intact_and_nothing_hanging(
    fake: FakeServer, png: bytes, tmp_path: Path, kind: str
) -> None:
    journal = tmp_path / "journal"
    images = [Named(str(i), png) for i in range(20)]
    fake.script(*[Step()] * 5, *[Step(delay_s=60)] * 15)

    def interrupt() -> None:
        while len(fake.seen) < 6:
            time.sleep(0.01)
        time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(fake, images, kind=kind, journal=journal, concurrency=2)
    thread.join()
    done = [json.loads(line)["name"] for line in journal.read_text().splitlines()[1:]]
    assert done == [str(i) for i in range(len(done))]
    fake.script()
    fake._script.clear()
    rest = run(fake, images, kind=kind, journal=journal)
    assert [item.name for item in rest] == [str(i) for i in range(len(done), 20)]


def test_a_server_that_comes_back_lets_the_run_complete(fake: FakeServer, png: bytes) -> None:
    items: list[Item] = []
    with fake.client() as client:
        for item in client.segment_many([png] * 40, concurrency=4):
            items.append(item)
            if item.index == 10:
                fake.take_down()
                threading.Timer(0.3, fake.bring_up).start()
    assert all(item.ok for item in items)
    assert [item.index for item in items] == list(range(40))
    assert client.counters.retries > 0


def test_an_error_in_the_iterable_reaches_the_program(fake: FakeServer, png: bytes) -> None:
    def failing() -> Iterator[bytes]:
        yield png
        raise RuntimeError("the database went away")

    with fake.client() as client, pytest.raises(RuntimeError, match="went away"):
        list(client.segment_many(failing()))


def test_items_say_what_they_are() -> None:
    error = SegserveError("x")
    assert not Item(0, "a", error=error).ok
