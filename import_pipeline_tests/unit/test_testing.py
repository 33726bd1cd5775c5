"""The fakes that ship for users."""

import asyncio

import httpx
import pytest

from import_pipeline.testing import CannedTransport, FakeClock

pytestmark = pytest.mark.anyio


async def test_sleepers_wake_up_in_the_order_of_their_time() -> None:
    clock, log = FakeClock(), list[tuple[str, float]]()

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            log.append((name, clock.monotonic()))

    await asyncio.gather(sleeper("a", 3, 3), sleeper("b", 1, 1, 1.5), sleeper("c", 4))
    assert log == [("b", 1), ("b", 2), ("a", 3), ("b", 3.5), ("c", 4), ("a", 6)]
    assert sorted(clock.sleeps) == [1, 1, 1.5, 3, 3, 4]
    assert clock.now().isoformat() == "2030-01-01T00:00:06+00:00"


async def test_the_clock_does_not_move_while_a_task_works() -> None:
    clock = FakeClock()

    async def worker() -> float:
        for _ in range(30):
            await asyncio.sleep(0)
        return clock.monotonic()

    moment, _ = await asyncio.gather(worker(), clock.sleep(5))
    assert (moment, clock.monotonic()) == (0, 5)


async def test_a_cancelled_sleeper_delays_no_other_task() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await clock.sleep(2)
    assert clock.monotonic() == 2


async def test_time_can_be_moved_by_hand() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.advance(60)
    await task
    assert clock.monotonic() == 60


async def test_canned_answers() -> None:
    transport = CannedTransport(
        {
            "/items": {"page": 1},
            "/items?page=2": {"page": 2},
            "/gone": httpx.Response(410, headers={"X-Why": "sold"}, json={}),
            "/broken": httpx.ConnectError("refused"),
        }
    )
    async with httpx.AsyncClient(transport=transport, base_url="https://api.test") as client:
        assert (await client.get("/items?page=1")).json() == {"page": 1}
        assert (await client.get("/items?page=2")).json() == {"page": 2}
        for _ in range(2):
            gone = await client.get("/gone")
            assert (gone.status_code, gone.headers["X-Why"]) == (410, "sold")
        missing = await client.get("/nothing?page=3")
        assert (missing.status_code, missing.json()["message"]) == (
            404,
            "no canned answer for GET /nothing?page=3; there are /items, /items?page=2, /gone, /broken",
        )
        with pytest.raises(httpx.ConnectError):
            await client.get("/broken")
    assert [request.url.path for request in transport.requests][-1] == "/broken"


async def test_a_function_of_canned_answers_that_knows_no_answer_says_to_what() -> None:
    details = {"/items/1": {"id": 1}}
    transport = CannedTransport(lambda request: details[request.url.path])
    async with httpx.AsyncClient(transport=transport, base_url="https://api.test") as client:
        with pytest.raises(LookupError, match=r"no canned answer for GET /items/2: .* has no '/items/2'"):
            await client.get("/items/2")
