"""Options refuse invalid values, and keep their secret."""

import math

import pytest

from source_api import BadOption, Options

REFUSED = [
    ({"items": -1}, "--items: expected a number from 0 to 10,000,000, got -1"),
    ({"delay_before_ms": -1}, "--delay-before: expected milliseconds, 0 or more, got -1"),
    ({"delay_after_ms": math.inf}, "--delay-after: expected milliseconds, 0 or more, got inf"),
    ({"jitter_ms": math.nan}, "--jitter: expected milliseconds, 0 or more, got nan"),
    ({"token": ""}, "--token: expected printable ASCII characters, got 'something else'"),
    ({"token": "secret\n"}, "--token: expected printable ASCII characters, got 'something else'"),
]


@pytest.mark.parametrize(("options", "sentence"), REFUSED)
def test_a_value_that_means_nothing_is_refused_in_a_sentence(options, sentence):
    with pytest.raises(BadOption) as refused:
        Options(**options)
    assert str(refused.value) == sentence


def test_texts_in_notation_are_refused_when_the_options_are_made():
    with pytest.raises(BadOption, match="--limits"):
        Options(limits="many")
    with pytest.raises(BadOption, match="--fault"):
        Options(faults=("17=explode",))


def test_the_token_is_in_no_repr():
    assert "hunter2" not in repr(Options(token="hunter2"))
