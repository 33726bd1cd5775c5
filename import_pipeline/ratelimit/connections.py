"""The connections under the limits: aiohttp's pool as an httpx transport, sending exactly what it is told to.

httpx's own pool walks all its connections for each request and slows down with their number; aiohttp's does not.
"""

import ssl

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again when a kept-alive connection breaks: that one would have no permit.

    aiohttp repeats on these two errors (RFC 9112, 9.3.1, allows it); as a third one they reach the caller. So does
    what is no HTTP, which httpx's errors have no other word for.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # nothing was sent
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientPayloadError(f"the connection broke before the answer came: {error}") from error
    except aiohttp.ClientResponseError as error:
        raise aiohttp.ClientPayloadError(f"the answer cannot be read: {error.message.splitlines()[0]}") from error


def open_connections(limit: int, *, verify: ssl.SSLContext | bool = True) -> httpx.AsyncBaseTransport:
    """A transport with at most that many connections. It follows no redirect, keeps no cookie, repeats no request."""
    context = httpx.create_ssl_context(verify=verify)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(send_once,),
        )

    return AiohttpTransport(verify=context, client=session)
