"""A demo API inside the test. Its clock is fixed; sleeping only advances the clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import httpx
import pytest

from source_api import Options, create_app

EPOCH = 1_700_000_000.0


class StillClock:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return EPOCH + self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def api(clock: StillClock) -> Serve:
    """Yield a client: `async with api(limits="2/10 second") as client`."""

    @asynccontextmanager
    async def serve(**options: object) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(
            Options(**options), clock=clock.monotonic, wall_clock=clock.wall, sleep=clock.sleep, random=Random(7)
        )
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://demo") as c,
        ):
            yield c

    return serve
