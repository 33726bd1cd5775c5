"""Asking an API that may be gone for a while.

What cannot be connected to was never asked, so no item uses up a try by it: everybody waits until it is back. An API
that has never answered is not waited for: its address is wrong, or nobody has started it.
"""

import re
from functools import partial

import httpx

from import_pipeline.errors import ImportFailed
from import_pipeline.importer.file_descriptors import ADVICE, are_too_few
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.redaction import redact
from import_pipeline.rules.status import ImportKind
from import_pipeline.settings import variable_prefix

#: Where one address refused, aiohttp tells it a second time, as a tuple.
_ONLY_ADDRESS = re.compile(r" \[Connect call failed \([^()]*\)\]")
UNREACHABLE = (httpx.ConnectError, httpx.ConnectTimeout)


async def send(
    context: ImportContext, request: httpx.Request, *, first: bool = False, claim: int | None = None
) -> httpx.Response:
    """The answer, whatever its status; `first` goes before all other waiting requests.

    Nothing is sent before it is sure that the lease stands; ClaimLost is raised where the item's claim does not.

    Raises httpx.RequestError for a request that was sent and failed, ImportFailed for an API that is gone.
    """
    while True:
        try:
            async with context.circuit.attempt():
                response = await context.api.send(request, first=first, before=partial(context.confirm, claim))
        except UNREACHABLE as error:
            if not _is_known(context):
                raise ImportFailed(unreachable(context.source.name, context.api.client.base_url, error)) from error
            context.circuit.open(f"the API cannot be reached ({describe_connection_error(error)})")
            _check_patience(context, error)
        except httpx.RequestError as error:
            _check_patience(context, error)
            raise
        else:
            await _reopen(context)
            return response


async def _reopen(context: ImportContext) -> None:
    seconds = context.circuit.open_for
    if seconds is not None:
        context.circuit.close()
        await context.note("import_goes_on", f"The API answers again after {seconds:.0f} s.")


def _is_known(context: ImportContext) -> bool:
    """Whether the API has answered this import before, if only to the process before this one."""
    row = context.row
    listed = row.kind is not ImportKind.SELECTION and row.checkpoint is not None
    return context.api.tally.answers > 0 or listed or row.items_imported_count > 0


def _check_patience(context: ImportContext, error: httpx.RequestError) -> None:
    """Raise ImportFailed where the API has been gone for longer than the source waits."""
    seconds = context.circuit.open_for
    if seconds is not None and seconds >= context.source.max_outage:
        reason = (
            f"the API has not answered for {seconds:.0f} s: {describe_request_error(error, context.source.timeout)}"
        )
        raise ImportFailed(f"{reason}. What is done is kept; what is left can be retried") from error


def unreachable(source: str, base_url: httpx.URL, error: httpx.RequestError) -> str:
    """The sentence for a source's API that has never answered."""
    address = f"its address ({variable_prefix(source)}BASE_URL)"
    problem = describe_connection_error(error)
    return f"the API at {redact(str(base_url))} cannot be reached: {problem}. Check {address} and that it runs"


def describe_connection_error(error: Exception) -> str:
    """A connection's failure without secrets, and without what only aiohttp's authors understand."""
    if are_too_few(error):
        return ADVICE
    return redact(_ONLY_ADDRESS.sub("", str(error))).replace(" ssl:default", "") or type(error).__name__


def describe_request_error(error: httpx.RequestError, timeout: float) -> str:
    """A request's failure in words, without secrets."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return f"no answer within {timeout:g} s"
    return describe_connection_error(error)
