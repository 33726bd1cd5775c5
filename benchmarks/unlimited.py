"""The example source without limits."""

from import_pipeline.rules.partitions import buckets
from import_pipeline.sources.items import ItemsSource


class UnlimitedItems(ItemsSource):
    """Requests are as fast as the API answers."""

    limits = ""


class InBuckets(UnlimitedItems):
    """Partitions of 500 items."""

    partitions = buckets(500)


SOURCES = [UnlimitedItems()]
IN_BUCKETS = [InBuckets()]
