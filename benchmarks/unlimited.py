"""The example source without its limits."""

from import_pipeline.rules.partitions import buckets
from import_pipeline.sources.items import ItemsSource


class UnlimitedItems(ItemsSource):
    """As fast as the API answers."""

    limits = ""


class InBuckets(UnlimitedItems):
    """The same, 500 items to a partition."""

    partitions = buckets(500)


SOURCES = [UnlimitedItems()]
IN_BUCKETS = [InBuckets()]
