"""The example source without its limits."""

from import_pipeline.sources.items import ItemsSource


class UnlimitedItems(ItemsSource):
    """As fast as the API answers."""

    limits = ""


SOURCES = [UnlimitedItems()]
