"""The moment at which sending began, from the events of httpx's transport."""

from collections.abc import Mapping
from typing import Any

import pytest

from import_pipeline.ratelimit.http.send_timing import Sending
from import_pipeline.testing import FakeClock

pytestmark = pytest.mark.anyio
SENDS = "http11.send_request_headers.started"


@pytest.mark.parametrize(
    ("events", "is_first", "is_known"),
    [
        ([SENDS], False, True),
        (["connection.connect_tcp.started", SENDS], True, True),
        (["connection.connect_unix_socket.started", SENDS], True, True),
        (
            ["connection.connect_tcp.started", SENDS, "connection.start_tls.started", SENDS],
            True,
            True,
        ),  # a proxy's tunnel
        (["socks.connect_tcp.started", "socks.setup_socks5_connection.started", SENDS], True, True),
        (["http2.send_request_headers.started"], False, False),  # its connection may have brought no answer yet
        ([], False, False),
    ],
)
async def test_the_first_request_on_a_connection_is_known(events: list[str], is_first: bool, is_known: bool) -> None:
    sending = Sending(FakeClock())
    for event in events:
        await sending(event, {})
    assert (sending.is_first, sending.began is not None) == (is_first, is_known)


async def test_what_a_trace_of_the_users_does_before_the_sending_is_no_part_of_it() -> None:
    clock = FakeClock()

    async def slow(_event: str, _about: Mapping[str, Any]) -> None:
        await clock.sleep(3)

    sending = Sending(clock, slow)
    await sending(SENDS, {})
    assert sending.began == 3
