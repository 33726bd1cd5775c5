"""The conformance kit tries declared sources as it tries classes, also those whose parent is known by its name."""

import pytest

from import_pipeline import RestSource
from import_pipeline.cli.new_source import write_source
from import_pipeline.conformance.trial import Trial
from import_pipeline.errors import UsageError
from import_pipeline.testing import CannedTransport, NotConformant, check_conformance, declared_in

ISSUES = "{name: issues, list: /issues, items: data, pages: {type: page_number, last: pages}, columns: {}}"
COMMENTS = """\
name: comments
list: /issues/{slice}/comments
parent: issues
pages: one_page
version: at
detail: /comments/{id}
columns: {issue: "{slice}", body: body}
"""


def answer(request):
    path = request.url.path.split("/")
    if path[-1] == "issues":
        return {"data": [{"id": int(request.url.params["page"])}], "pages": 2}
    if path[-1] == "comments":
        return [{"id": f"{path[2]}-{number}", "at": "then"} for number in (1, 2)]
    return {"body": f"comment {path[-1]}"}


@pytest.fixture
def sources(tmp_path):
    file = tmp_path / "tracker.yaml"
    file.write_text(f"{ISSUES}\n---\n{COMMENTS}")
    return declared_in(file)


def test_a_declared_source_keeps_every_property(tmp_path):
    source = RestSource(name="notes", list="/notes", pages="link_header", version="at", columns={"at": "at"})
    notes = [{"id": number, "at": f"v{number}"} for number in (1, 2, 3)]
    lines = []
    found = check_conformance(source, CannedTransport({"/notes": notes}), tmp_path, show=lines.append)
    assert [str(each) for each in found if each.problem] == []
    assert len(lines) > 9


def test_a_parent_that_is_known_by_its_name_is_imported_first(sources, tmp_path):
    issues, comments = sources
    trial = Trial(comments, CannedTransport(answer), tmp_path, parents=[issues])
    done = trial.outcome(trial.transport())
    assert (done.summary.status, done.failures, sorted(done.rows)) == ("completed", {}, ["1-1", "1-2", "2-1", "2-2"])


def test_a_parent_that_is_not_given_is_named(sources, tmp_path):
    with pytest.raises(UsageError, match=r"comments\.parent: expected the source issues in `parents`"):
        check_conformance(sources[1], CannedTransport(answer), tmp_path)


def test_a_mistake_in_a_declaration_breaks_the_property_that_is_about_it(tmp_path):
    source, _ = write_source("late_orders", tmp_path, is_declared=True)
    source.write_text(source.read_text().replace("version: updated_at", "#").replace("items: data", "items: date"))
    [wrong] = declared_in(source)
    with pytest.raises(NotConformant, match=r"late_orders\.items: expected a list at date in the answer"):
        check_conformance(wrong, CannedTransport({"/late_orders": {"data": []}}), tmp_path, show=lambda line: None)
