"""The sources that come with the package, and the list of them: what `IMPORT_PIPELINE_SOURCES` names by default."""

from import_pipeline.contracts import ImportSource
from import_pipeline.sources.items import ItemsSource

SOURCES: list[ImportSource] = [ItemsSource()]
