"""Import a source into empty databases, through a transport that injects faults."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from import_pipeline.conformance.rehearsal import import_through, rehearsal_settings, rows_and_failures
from import_pipeline.contracts import ImportSource
from import_pipeline.errors import UsageError
from import_pipeline.importer.access.connector import connector_of, token_server_of
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.importer.source_loader import configure
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The rows and failures that an import left."""

    summary: ImportSummary
    rows: Mapping[str, Mapping[str, Any]]  #: external id -> the row's own columns
    failures: Mapping[str, str]


class FaultyTransport(httpx.AsyncBaseTransport):
    """Wraps a transport and injects faults. `lists` and `details` count the requests that it answered."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner
        self.lists = self.details = 0
        self.fault: Callable[[httpx.Request, bool, int], httpx.Response | None] = lambda request, is_list, number: None
        self.pages: list[httpx.Response] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer with the fault for this request if there is one; else as the transport does."""
        options = request.extensions.get("import_pipeline", {})
        if options.get("token"):  # faults are those of the API, not of its token server
            return await self.inner.handle_async_request(request)
        is_list = bool(options.get("first"))
        number = self.lists if is_list else self.details
        if is_list:
            self.lists += 1
        else:
            self.details += 1
        wrong = self.fault(request, is_list, number)
        if wrong is not None:
            return _fresh(wrong)
        response = await self.inner.handle_async_request(request)
        await response.aread()
        if is_list:
            self.pages.append(response)
        return _fresh(response)


def _fresh(response: httpx.Response) -> httpx.Response:
    """Return a response that was not read yet, with the same status, headers and body."""
    headers = [pair for pair in response.headers.multi_items() if pair[0] not in {"content-encoding", "content-length"}]
    return httpx.Response(response.status_code, headers=headers, stream=httpx.ByteStream(response.content))


class Trial:
    """A source, the transport that answers as its API does, and a folder for databases."""

    def __init__(
        self,
        source: ImportSource,
        transport: httpx.AsyncBaseTransport,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        parents: Sequence[ImportSource] = (),
    ) -> None:
        self.source, self._transport, self._folder = source, transport, folder
        self._environment, self._parents = environment or {}, parents
        self._databases = 0

    def transport(self) -> FaultyTransport:
        """Return the transport, ready to be given a fault."""
        return FaultyTransport(self._transport)

    def outcome(self, transport: httpx.AsyncBaseTransport, source: ImportSource | None = None) -> Outcome:
        """Import into an empty database."""
        with self.installation(source) as installation:
            return self.outcome_of(installation, self.run(installation, transport))

    @contextmanager
    def installation(self, source: ImportSource | None = None) -> Iterator[Installation]:
        """Open an installation of its own, without limits and with short waits."""
        self._databases += 1
        family = _family(source or self.source, self._parents)
        folder = self._folder / f"conformance-{self._databases}"
        folder.mkdir(parents=True)
        settings = self._settings(folder)
        with open_installation(settings, configure(family, settings)) as installation:
            for parent in family[:-1]:
                import_through(installation, parent.name, self._transport)
            yield installation

    def _settings(self, folder: Path) -> Settings:
        family = _family(self.source, self._parents)
        return rehearsal_settings(family, folder, self._environment, limits="none")

    @property
    def requests_tokens(self) -> bool:
        """True if the source obtains access tokens by OAuth 2."""
        settings = self._settings(self._folder)
        [source] = configure([self.source], settings)
        return token_server_of(connector_of(source, settings)) is not None

    def run(self, installation: Installation, transport: httpx.AsyncBaseTransport) -> ImportSummary:
        """Import, or resume an import whose process was killed."""
        return import_through(installation, self.source.name, transport)

    def outcome_of(self, installation: Installation, summary: ImportSummary) -> Outcome:
        """Return the rows and failures of an import that has ended."""
        rows, failures = rows_and_failures(installation, self.source.model, summary)
        keys = {column.name for column in self.source.model.__table__.primary_key} - {"external_id"}
        own = {key: {name: value for name, value in row.items() if name not in keys} for key, row in rows.items()}
        return Outcome(summary=summary, rows=own, failures=failures)


def _family(source: ImportSource, parents: Sequence[ImportSource]) -> list[ImportSource]:
    """Return the source after its parents, which are imported first. Raises UsageError for one that is not given."""
    named = {each.name: each for each in parents}
    family = [source]
    while (parent := family[0].parent) is not None:
        if isinstance(parent, str):
            if parent not in named:
                expected = f"expected the source {parent} in `parents`, to import it before the trial"
                raise UsageError(f"{family[0].name}.parent: {expected}")
            parent = named[parent]
        family.insert(0, parent() if isinstance(parent, type) else parent)
    return family
