"""A user's httpx.Auth, which runs between our requests: it comes to an end, and what it raises names it."""

import asyncio
from collections.abc import AsyncGenerator

import httpx

from import_pipeline.errors import HookFailed, ImportPipelineError
from import_pipeline.importer.user_code.hooks import place_of, said_of

#: Requests that one flow may ask for, from its first to the last answer: a token, a refresh and some tries of both.
MOST_REQUESTS = 10


class BoundedAuth(httpx.Auth):
    """The same flow with an end: httpx itself would send for a flow that never ends."""

    def __init__(self, inner: httpx.Auth) -> None:
        self.inner = inner

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Pass on what the flow asks for and what is answered. Raises httpx.RequestError for one too many."""
        flow = self.inner.async_auth_flow(request)
        try:
            wanted = await flow.__anext__()
            for _ in range(MOST_REQUESTS):
                response = yield wanted
                try:
                    wanted = await flow.asend(response)
                except StopAsyncIteration:
                    return
            problem = f"{_name(self.inner)} asks for more than {MOST_REQUESTS} requests to send one"
            raise httpx.RequestError(problem, request=request)
        finally:
            await flow.aclose()


async def send_with(client: httpx.AsyncClient, auth: httpx.Auth, request: httpx.Request) -> httpx.Response:
    """The answer to a request that the flow completes; what the flow raises is this request's failure.

    Raises httpx.RequestError, and errors of ours that the flow or the limits raise.
    """
    task = asyncio.current_task()
    try:
        return await client.send(request, auth=BoundedAuth(auth))
    except (httpx.RequestError, ImportPipelineError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raised = HookFailed(_name(auth), f"raises {said_of(error)}", place_of(error, auth))
        raise httpx.RequestError(str(raised), request=request) from error


def _name(auth: httpx.Auth) -> str:
    return f"{type(auth).__name__}.auth_flow"
