"""Fixtures of the unit tests."""

import pytest

from import_pipeline.redaction import SECRETS


@pytest.fixture(autouse=True)
def no_known_secrets() -> None:
    """Forget the secrets of earlier tests: this process masks them in every text."""
    SECRETS.__init__()
