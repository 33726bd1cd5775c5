"""What is said of a batch's failures."""

import pytest

from import_pipeline.importer.enrichment.enrich import tries_failed


@pytest.mark.parametrize(
    ("tries", "for_good", "said"),
    [
        (1, 0, "1 try failed"),
        (1, 1, "1 try failed, for good"),
        (3, 0, "3 tries failed"),
        (3, 1, "3 tries failed, 1 of them for good"),
        (3, 3, "3 tries failed, all for good"),
    ],
)
def test_failures_are_counted_in_plain_words(tries, for_good, said):
    assert tries_failed(tries, for_good) == said
