"""Link headers in every form that servers write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.responses.link_header import links, next_target

NEXT = "https://api.test/things?page=2"


@pytest.mark.parametrize(
    "header",
    [
        f'<{NEXT}>; rel="next"',
        f"<{NEXT}>; rel=next",
        f"<{NEXT}>; rel='next'",
        f'<{NEXT}>;REL="NEXT"',
        f'<{NEXT}>; rel="next last"',
        f'<{NEXT}>; rel="last\tnext"',
        f'<{NEXT}>; title="a, b; rel=prev"; rel="next"',
        f'<{NEXT}> ; results="true" ; rel = "next"; title*=UTF-8\'\'n%c3%a4chste',
        f'<https://api.test/?a=1,2;b>; rel="prev", <{NEXT}>; rel="next"',
        f"<https://api.test/1>; rel=prev,<{NEXT}>; rel=next,<https://api.test/9>; rel=last",
        f'nonsense, <{NEXT}>; rel="next"',
        f'<https://api.test/up>; rel="next"; anchor="#part", <{NEXT}>; rel="next"',
        f'{NEXT}; rel="next"',
        f'<{NEXT}>; rel="next"; rel="prev"',
        f'< {NEXT} >; crossorigin; rel="next"',
    ],
)
def test_a_next_link_is_found_in_every_form(header):
    assert next_target([header]) == NEXT
    assert next_target(['<https://api.test/first>; rel="first"', header]) == NEXT


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        "<",
        "<>",
        f"<{NEXT}>",
        f'<{NEXT}>; rel="prev"',
        f'<{NEXT}>; rel="nextish"',
        f'<{NEXT}>; title="next"',
        f'<{NEXT}>; rel="prev"; rel="next"',
        f'<{NEXT}>; rel="',
        "rel=next",
    ],
)
def test_what_is_no_next_link_is_none(header):
    assert next_target([header]) is None


TARGETS = st.text("abcXYZ019/?&=%-._~:,;+", min_size=1, max_size=30).map(lambda rest: f"/{rest}")
RELATIONS = st.lists(st.sampled_from(["next", "NEXT", "prev", "last", "first"]), min_size=1, max_size=3)
QUOTES = st.sampled_from(['"', "'", ""])


@st.composite
def headers(draw):
    """A header, with its links' targets and relations."""
    parts, expected = [], []
    for target, relations in draw(st.lists(st.tuples(TARGETS, RELATIONS), min_size=1, max_size=5)):
        quote = draw(QUOTES)
        written = relations if quote else relations[:1]
        space = draw(st.sampled_from(["", " "]))
        more = draw(st.sampled_from(["", '; title="a, <b>; rel=next"', "; type=json"]))
        parts.append(f"<{target}>{space}{more}{space};{space}rel={quote}{' '.join(written)}{quote}")
        expected.append((target, frozenset(each.lower() for each in written)))
    return draw(st.sampled_from([",", ", ", " ,"])).join(parts), expected


@given(headers())
def test_every_link_of_a_header_is_read(header):
    text, expected = header
    assert [(link.target, link.relations) for link in links([text])] == expected


@given(st.text(max_size=200))
def test_no_header_is_too_odd(header):
    assert all(isinstance(link.target, str) for link in links([header]))
