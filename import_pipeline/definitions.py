"""Dagster's entry point: the listed sources, joined, and what comes after their imports."""

import dagster as dg

from import_pipeline.defs.build import join_definitions
from import_pipeline.examples.application_items import after_items
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.settings import load_settings


@dg.definitions
def definitions() -> dg.Definitions:
    """What `IMPORT_PIPELINE_SOURCES` lists, as Dagster sees it."""
    settings = load_settings()
    sources = load_sources(settings)
    return dg.Definitions.merge(join_definitions(sources, settings), after_items(sources))
