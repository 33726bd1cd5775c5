"""The sources in this package. `IMPORT_PIPELINE_SOURCES` names their list `SOURCES` by default."""

from import_pipeline import ImportSource
from import_pipeline.sources.items import ItemsSource

SOURCES: list[ImportSource] = [ItemsSource()]
