"""Processes that use the token of a source, and that may die at a point of its renewal."""

import asyncio
import multiprocessing
import os
import signal
import warnings

import httpx

from import_pipeline.clock import SystemClock
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.importer.source_loader import configure
from import_pipeline.ratelimit.http.aiohttp_transport import open_connections
from import_pipeline.ratelimit.tokens.open import open_tokens
from import_pipeline_tests.support.oauth_api import OAuthItems
from import_pipeline_tests.support.parallel import PRELOAD

#: Points of a renewal at which a process can die, in their order.
POINTS = ("claimed", "answered", "stored")


class DyingTokens:
    """A store of tokens in a process that dies at a point."""

    blocks = True

    def __init__(self, real, point):
        self._real, self._point = real, point

    def claim(self, name, owner, seconds):
        found = self._real.claim(name, owner, seconds)
        die_at("claimed", self._point if found.is_granted else None)
        return found

    def put(self, name, owner, value, *, after, age):
        version = self._real.put(name, owner, value, after=after, age=age)
        die_at("stored", self._point)
        return version

    def hold(self, name, owner, seconds):
        self._real.hold(name, owner, seconds)

    def close(self):
        self._real.close()


class DyingConnections(httpx.AsyncBaseTransport):
    """Real connections of a process that dies when the answer to a token request has come."""

    def __init__(self, point):
        self._real, self._point = open_connections(limit=10), point

    async def handle_async_request(self, request):
        response = await self._real.handle_async_request(request)
        if request.url.path == "/oauth/token":
            die_at("answered", self._point)
        return response

    async def aclose(self):
        await self._real.aclose()


def die_at(point, chosen):
    """Kill this process if this is its point."""
    if point == chosen:
        os.kill(os.getpid(), signal.SIGKILL)


async def statuses(settings, requests, point=None):
    """Send that many requests one after the other; return the statuses."""
    [source] = configure([OAuthItems()], settings)
    tokens = DyingTokens(open_tokens(settings.redis_url, settings.limits_path), point)
    async with open_api(source, settings, SystemClock(), DyingConnections(point), tokens=tokens) as api:
        return [(await api.send(httpx.Request("GET", "/api/items/1"))).status_code for _ in range(requests)]


class TokenUser(multiprocessing.context.ForkServerProcess):
    """A process that sends requests, and reports their statuses or its error to `outcome`."""

    def __init__(self, settings, requests=1, point=None):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*PRELOAD, __name__])
        self.outcome, sender = context.Pipe(duplex=False)
        super().__init__(target=_use, args=(settings, requests, point, sender))


def _use(settings, requests, point, sender):
    warnings.simplefilter("error")
    try:
        sender.send(asyncio.run(statuses(settings, requests, point)))
    except ImportPipelineError as error:
        sender.send(f"{type(error).__name__}: {error}")


def outcome_of(process):
    """Start the process, wait until it ends, and return its outcome; its exit code if it died."""
    process.start()
    return ended(process)


def ended(process):
    """Return the outcome of a started process; its exit code if it died."""
    process.join(60)
    return process.outcome.recv() if process.exitcode == 0 else process.exitcode
