"""Response bodies: capped in length and depth, and unpacked once."""

import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from import_pipeline.ratelimit import BodyRefused
from import_pipeline.testing import FakeClock
from import_pipeline_tests.support.limited_client import client_of

pytestmark = pytest.mark.anyio


class Streamed(httpx.AsyncByteStream):
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


class Raw(httpx.AsyncBaseTransport):
    """Answers with a stream, as a network does."""

    def __init__(self, stream: httpx.AsyncByteStream, **headers: str) -> None:
        self.stream, self.headers = stream, {name.replace("_", "-"): value for name, value in headers.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=self.headers, stream=self.stream)


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (Raw(Streamed(*[b"x" * 400] * 3)), "longer than 1,000 bytes"),
        (Raw(Streamed(gzip.compress(b"x" * 100_000)), content_encoding="gzip"), "unpacks to more than 1,000 bytes"),
        (Raw(Streamed(b"[" * 101)), "nests more than 100 levels deep"),
        (Raw(Streamed(gzip.compress(b'{"a":' * 101)), content_encoding="gzip"), "nests more than 100 levels deep"),
    ],
)
async def test_bodies_are_capped_as_sent_and_as_unpacked_in_length_and_depth(inner: Raw, message: str) -> None:
    clock = FakeClock()
    async with client_of(inner, clock, largest_body=1000) as (client, limiter):
        with pytest.raises(BodyRefused, match=message):
            await client.get("/")
        await clock.sleep(10)
        assert (await limiter.usage()).tiers[0].used == 0  # it counted from its head, and no longer


@pytest.mark.parametrize("cut", [1, 8, 12])
async def test_a_packed_body_that_breaks_off_is_a_broken_connection(cut: int) -> None:
    inner = Raw(Streamed(gzip.compress(b'{"id": 1}' * 9)[:-cut]), content_encoding="gzip")
    async with client_of(inner, FakeClock()) as (client, _):
        with pytest.raises(httpx.ReadError, match="the packed body breaks off"):
            await client.get("/")


async def test_a_refusal_whose_body_cannot_be_unpacked_is_waited_out_all_the_same() -> None:
    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if clock.monotonic() > 1:
                return httpx.Response(200, stream=Streamed(b"{}"))
            headers = {"Content-Encoding": "gzip", "Retry-After": "4"}
            return httpx.Response(429, headers=headers, stream=Streamed(b"no gzip"))

    clock = FakeClock()
    async with client_of(Broken(), clock) as (client, _):
        assert (await client.get("/")).json() == {}
        assert clock.monotonic() >= 4


async def test_a_packed_body_reaches_the_client_unpacked() -> None:
    """Otherwise httpx would unpack it again, and stop after its first member."""
    packed = gzip.compress(b'{"id": ') + gzip.compress(b"1}")
    inner = Raw(Streamed(packed[:30], packed[30:]), content_encoding="gzip", transfer_encoding="chunked")
    async with client_of(inner, FakeClock()) as (client, _):
        response = await client.get("/")
        assert response.json() == {"id": 1}
        assert {name: value for name, value in response.headers.items() if name != "date"} == {"content-length": "9"}


async def test_a_body_in_an_unknown_encoding_stays_as_it_is() -> None:
    async with client_of(Raw(Streamed(b"xyz"), content_encoding="br"), FakeClock()) as (client, _):
        async with client.stream("GET", "/") as response:
            assert b"".join([chunk async for chunk in response.aiter_raw()]) == b"xyz"
        assert response.headers["content-encoding"] == "br"


async def test_a_body_that_is_packed_three_times_is_refused() -> None:
    async with client_of(Raw(Streamed(b"x"), content_encoding="gzip, gzip, deflate"), FakeClock()) as (client, _):
        with pytest.raises(BodyRefused, match="packed 3 times, expected at most 2"):
            await client.get("/")
