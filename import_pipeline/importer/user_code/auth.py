"""Run a user's httpx.Auth: bound its requests, and name it in its errors."""

import asyncio
from collections.abc import AsyncGenerator

import httpx

from import_pipeline.errors import HookFailed, ImportPipelineError
from import_pipeline.importer.user_code.hooks import describe_error, place_of

#: The most requests of one flow: a token, a refresh and some retries of both.
MOST_REQUESTS = 10


class BoundedAuth(httpx.Auth):
    """Wraps an httpx.Auth and ends its flow after MOST_REQUESTS; httpx would send for ever."""

    def __init__(self, inner: httpx.Auth) -> None:
        self.inner = inner

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Pass requests and responses between flow and client. Raises httpx.RequestError for one request too many."""
        flow = self.inner.async_auth_flow(request)
        try:
            wanted = await flow.__anext__()
            for _ in range(MOST_REQUESTS):
                response = yield wanted
                try:
                    wanted = await flow.asend(response)
                except StopAsyncIteration:
                    return
            problem = f"{_name(self.inner)} needs more than {MOST_REQUESTS} requests to send one"
            raise httpx.RequestError(problem, request=request)
        finally:
            await flow.aclose()


async def send_with(client: httpx.AsyncClient, auth: httpx.Auth, request: httpx.Request) -> httpx.Response:
    """Send a request with the user's authentication, and return its response.

    An error of the flow is a failure of this request: raises httpx.RequestError, or an ImportPipelineError of the flow
    or the limits.
    """
    task = asyncio.current_task()
    try:
        return await client.send(request, auth=BoundedAuth(auth))
    except (httpx.RequestError, ImportPipelineError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raised = HookFailed(_name(auth), f"raises {describe_error(error)}", place_of(error, auth))
        raise httpx.RequestError(str(raised), request=request) from error


def _name(auth: httpx.Auth) -> str:
    return f"{type(auth).__name__}.auth_flow"
