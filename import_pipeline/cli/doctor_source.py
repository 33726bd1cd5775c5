"""The check of `doctor` for one source: its access, and the first page of its list."""

import asyncio

from import_pipeline.cli.doctor_checks import CheckResult
from import_pipeline.cli.doctor_paging import paging_notes
from import_pipeline.contracts import Connector, ImportSource
from import_pipeline.errors import ImportPipelineError
from import_pipeline.importer.access.connections import proxy_for
from import_pipeline.importer.access.connector import connector_of, token_server_of
from import_pipeline.importer.control.plan import first_page
from import_pipeline.importer.discovery.stub_problems import empty_columns, refused_relations
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.importer.slices.first_slice import first_list
from import_pipeline.importer.user_code.declared_paths import sentence_of, unmet_paths, watch_paths
from import_pipeline.redaction import redact
from import_pipeline.settings import Settings


def source(settings: Settings, listed: ImportSource) -> CheckResult:
    """Request one list page."""
    with open_installation(settings, [listed]) as installation:
        return _first_page(installation, installation.source_to_read(listed.name))


def _first_page(installation: Installation, listed: ImportSource) -> CheckResult:
    of_list = first_list(installation, listed)
    if of_list is None:
        return CheckResult(message="its lists are not checked: it has no slices yet")
    response = asyncio.run(first_page(installation, of_list))
    if (problem := of_list.first_page_problem(response)) is not None:
        raise ImportPipelineError(problem)
    total = of_list.total(response)
    count = "an unknown number of" if total is None else total
    watch_paths(listed)
    of_list.parse(response, 1)
    unmet = unmet_paths(listed)
    connector = connector_of(listed, installation.settings)
    way = _way(listed, connector)
    message = f"answers at {redact(connector.base_url)}{way}, {count} items, limits {listed.limits_text or 'none'}"
    model = listed.model.__name__
    notes = [
        f"{model}.{column} must not be null, but stub() leaves it empty. The stub comes first: make it nullable"
        for column in empty_columns(of_list, response)
    ]
    notes += refused_relations(of_list, response)
    notes += [sentence_of(unmet)] if unmet else []
    notes += paging_notes(of_list, response)
    if connector.verify is False:
        notes.append("its certificates are not verified (verify=False): name the file of the certificate to trust")
    return CheckResult(message=message, notes=tuple(notes))


def _way(listed: ImportSource, connector: Connector) -> str:
    """Return the clauses about the proxy and the token server, if there are any."""
    found = proxy_for(listed.name, connector, connector.base_url)
    way = f" through the proxy {found.address} ({found.variable})" if found else ""
    server = token_server_of(connector)
    return way if server is None else f"{way}, with a token of {redact(str(server))}"
