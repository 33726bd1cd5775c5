"""Dagster's entry point: the definitions of all listed sources and of the example's downstream asset."""

import dagster as dg

from import_pipeline.defs.build import join_definitions
from import_pipeline.examples.application_items import after_items
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.settings import load_settings


@dg.definitions
def definitions() -> dg.Definitions:
    """Return the definitions of the sources that `IMPORT_PIPELINE_SOURCES` lists."""
    settings = load_settings()
    sources = load_sources(settings)
    return dg.Definitions.merge(join_definitions(sources, settings), after_items(sources))
