"""The sentence about the failures of a batch."""

import pytest

from import_pipeline.importer.enrichment.outcomes import failed_tries


@pytest.mark.parametrize(
    ("tries", "final", "text"),
    [
        (1, 0, "1 try failed"),
        (1, 1, "1 try failed, permanently"),
        (3, 0, "3 tries failed"),
        (3, 1, "3 tries failed, 1 of them permanently"),
        (3, 3, "3 tries failed, all permanently"),
    ],
)
def test_failures_are_counted_in_plain_words(tries, final, text):
    assert failed_tries(tries, final) == text
