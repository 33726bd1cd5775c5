"""Send requests to an API that may be unreachable for a while.

A refused connection sends no request, so it is not a failed attempt: all requests wait until the API is back. An API
that has never answered is not waited for: its address is wrong, or it has not been started.
"""

import re
from collections.abc import Collection
from functools import partial

import httpx

from import_pipeline.errors import ImportFailed
from import_pipeline.importer.file_descriptors import ADVICE, are_too_few
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.tokens.server import TokenUnavailable
from import_pipeline.redaction import redact
from import_pipeline.rules.status import ImportKind
from import_pipeline.settings import variable_prefix

#: If one address refused, aiohttp repeats it as a tuple.
_ONLY_ADDRESS = re.compile(r" \[Connect call failed \([^()]*\)\]")
UNREACHABLE = (httpx.ConnectError, httpx.ConnectTimeout)


async def send(
    context: ImportContext, request: httpx.Request, *, first: bool = False, claims: Collection[int] = ()
) -> httpx.Response:
    """Send a request and return its response, whatever its status. `first` puts it before all other waiting requests.

    Nothing is sent until the lease is confirmed. Raises ClaimLost if one of the claims is lost, httpx.RequestError if
    the request was sent and failed, ImportFailed if the API stays unreachable.
    """
    while True:
        try:
            async with context.circuit.attempt():
                response = await context.api.send(request, first=first, before=partial(context.confirm, claims))
        except TokenUnavailable as error:
            context.circuit.open(str(error))
            _check_patience(context, error)
        except UNREACHABLE as error:
            if not _is_known(context):
                raise ImportFailed(unreachable(context.source.name, context.api.client.base_url, error)) from error
            context.circuit.open(f"the API cannot be reached ({describe_connection_error(error)})")
            _check_patience(context, error)
        except httpx.RequestError as error:
            _check_patience(context, error)
            raise
        else:
            await context.close_circuit(context.circuit, "The API answers again")
            return response


def _is_known(context: ImportContext) -> bool:
    """Return True if the API has answered this import before, in this process or an earlier one."""
    row = context.row
    is_chosen = row.kind is ImportKind.SELECTION
    has_begun = row.checkpoint is not None and not is_chosen
    listed = has_begun if row.slices_count is None else row.slices_completed_count > 0
    return context.api.tally.answers > 0 or listed or row.items_imported_count > 0


def _check_patience(context: ImportContext, error: httpx.RequestError) -> None:
    """Raise ImportFailed if the API has been unreachable for longer than the source's `max_outage`.

    A wait that a token server asks for is no outage.
    """
    seconds, asked = context.circuit.open_for, error.obeyed if isinstance(error, TokenUnavailable) else 0.0
    if seconds is not None and seconds >= context.source.max_outage + asked:
        if isinstance(error, TokenUnavailable):
            raise ImportFailed(f"no access token for {seconds:.0f} s: {error}. Finished items are kept") from error
        reason = (
            f"the API has not answered for {seconds:.0f} s: {describe_request_error(error, context.source.timeout)}"
        )
        raise ImportFailed(f"{reason}. Finished items are kept; the rest can be retried") from error


def unreachable(source: str, base_url: httpx.URL, error: httpx.RequestError) -> str:
    """Return the reason for an API that has never answered."""
    address = f"its address ({variable_prefix(source)}BASE_URL)"
    problem = describe_connection_error(error)
    return f"the API at {redact(str(base_url))} cannot be reached: {problem}. Check {address} and that it runs"


def describe_connection_error(error: Exception) -> str:
    """Return a connection failure in words, without secrets and without internals of aiohttp."""
    if are_too_few(error):
        return ADVICE
    return redact(_ONLY_ADDRESS.sub("", str(error))).replace(" ssl:default", "") or type(error).__name__


def describe_request_error(error: httpx.RequestError, timeout: float) -> str:
    """Return a request's failure in words, without secrets."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return f"no answer within {timeout:g} s"
    return describe_connection_error(error)
