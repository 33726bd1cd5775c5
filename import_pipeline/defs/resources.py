"""The API of a source as a Dagster resource. Every request of an import goes through it."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.runtime.api_client import ApiClient, open_api
from import_pipeline.importer.source_loader import configured


class RateLimitedApiResource(dg.ConfigurableResource[None]):
    """An httpx client under limits that all workers share.

    Empty values come from the settings, then from the source. Tokens come from the settings only, since Dagster's UI
    shows the configuration.
    """

    base_url: str | None = None
    limits: str | None = None  #: tiers such as "500/20 second; 2000/100 second"
    concurrency: int | None = None  #: detail requests in flight at the start
    timeout: float | None = None  #: seconds for a whole request, body included

    def configured_source(self, source: ImportSource, installation: Installation) -> ImportSource:
        """Return the source with this resource's configuration applied."""
        settings = replace(
            source.own_settings(installation.settings),
            **{name: value for name, value in self.model_dump().items() if value is not None},
        )
        return configured(source, settings)

    def open(
        self, source: ImportSource, installation: Installation, patience: timedelta | None = None
    ) -> AbstractAsyncContextManager[ApiClient]:
        """Open the API client. Enter it on the event loop that sends the requests. `patience`: see `open_api`."""
        return open_api(source, installation.settings, installation.clock, patience=patience)
