"""Run a user's httpx.Auth: bound its requests, and name it in its errors."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable

import httpx

from import_pipeline.errors import HookFailed, ImportPipelineError
from import_pipeline.importer.user_code.hooks import describe_error, place_of

#: The most requests of one flow: a token, a refresh and some retries of both.
MOST_REQUESTS = 10


class BoundedAuth(httpx.Auth):
    """Wraps a user's httpx.Auth: its flow ends after MOST_REQUESTS, and whatever it raises fails the request only."""

    def __init__(self, inner: httpx.Auth) -> None:
        self.inner = inner

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Pass requests and responses between the flow and its caller.

        Raises httpx.RequestError for an error of the flow and for one request too many, or an ImportPipelineError of
        the flow.
        """
        flow = self.inner.async_auth_flow(request)
        try:
            wanted = await self._step(anext(flow), request)
            for _ in range(MOST_REQUESTS):
                response = yield wanted
                try:
                    wanted = await self._step(flow.asend(response), request)
                except StopAsyncIteration:
                    return
            problem = f"{self._name} needs more than {MOST_REQUESTS} requests to send one"
            raise httpx.RequestError(problem, request=request)
        finally:
            await flow.aclose()

    async def _step(self, step: Awaitable[httpx.Request], request: httpx.Request) -> httpx.Request:
        task = asyncio.current_task()
        try:
            return await step
        except (StopAsyncIteration, httpx.RequestError, ImportPipelineError, KeyboardInterrupt):
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            raised = HookFailed(self._name, f"raises {describe_error(error)}", place_of(error, self.inner))
            raise httpx.RequestError(str(raised), request=request) from error

    @property
    def _name(self) -> str:
        return f"{type(self.inner).__name__}.auth_flow"
