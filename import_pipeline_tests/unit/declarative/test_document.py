"""docs/sources/declarative.md: each example is a source, each word is a word, and each error is said as it stands."""

import re
from pathlib import Path

import pytest
import yaml

from import_pipeline import RestSource
from import_pipeline.contracts import check_source
from import_pipeline.declarative.words import Declaration, OptionWords
from import_pipeline.errors import ContractError
from import_pipeline.testing import declared_in

DOCUMENT = (Path(__file__).parents[3] / "docs" / "sources" / "declarative.md").read_text()
LEAST = {"name": "orders", "list": "/orders", "pages": "one_page", "columns": {"title": "title"}}


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def fragments():
    """Return the examples of words: a paragraph, or each line of one that has a key several times."""
    for paragraph in blocks("yaml")[1].strip().split("\n\n"):
        keys = re.findall(r"^(\w+):", paragraph, re.MULTILINE)
        yield from [paragraph] if len(set(keys)) == len(keys) else paragraph.splitlines()


def test_the_files_are_sources(tmp_path):
    (tmp_path / "defs.yaml").write_text(blocks("yaml")[0])
    [source] = declared_in(tmp_path / "defs.yaml")
    assert (source.name, source.limits) == ("items", "500/20 second; 2000/100 second")
    names = {}
    exec(blocks("python")[0], names)
    assert check_source(names["SOURCES"][0]).name == "orders"


@pytest.mark.parametrize("words", list(fragments()), ids=lambda text: text[:40])
def test_each_fragment_is_taken(words):
    found = yaml.safe_load(words)
    if "slices" in found:
        found["list"] = {"path": "/orders", "params": {"from": "{slice.start}", "to": "{slice.end}"}}
    assert check_source(RestSource(**LEAST | found)).name == "orders"


def test_the_table_of_words_is_complete():
    section = DOCUMENT.partition("## The words")[2].partition("\n## ")[0]
    first_cells = " ".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| "))
    named = set(re.findall(r"`(\w+)`", first_cells))
    assert named >= Declaration.model_fields.keys() - OptionWords.model_fields.keys()


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ({"lits": "/orders"}, "orders.lits"),
        ({"pages": None}, "orders.pages"),
    ],
)
def test_the_errors_are_said_as_the_document_has_them(words, key):
    given = {name: value for name, value in (LEAST | words).items() if value is not None}
    with pytest.raises(ContractError) as caught:
        RestSource(**given)
    assert f"| `{caught.value}` |" in DOCUMENT
    assert str(caught.value).startswith(key)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"format": "xml"}, "got 'xml': other formats need a source that is written as a class"),
        ({"where": {"active": True}}, "orders.where: unknown key where; use `list.params` or `answers` instead"),
    ],
)
def test_what_needs_a_class_is_said(words, sentence):
    with pytest.raises(ContractError) as caught:
        RestSource(**LEAST | words)
    assert sentence in str(caught.value)
