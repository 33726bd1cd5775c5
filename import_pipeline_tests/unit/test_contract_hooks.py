"""The hooks of sources and models: what they are given, and what contradicts what."""

import pytest

from import_pipeline.contracts import ImportSource, Incremental, check_source
from import_pipeline.contracts.hooks import MODEL_HOOKS, SOURCE_HOOKS, YIELDING
from import_pipeline.contracts.slice_check import check_parents
from import_pipeline.errors import ContractError
from import_pipeline_tests.support.contract_sources import Mute, Thing, Things, source


async def waits(self, *_):
    return None


async def waits_and_yields(self, *_):
    yield None


def yields(self, *_):
    yield None


def lacks(self, detail):
    return None


def lacks_one(self, _):
    return None


def split(self, key):
    return ()


EVERY_HOOK = [*SOURCE_HOOKS]
BATCH = {"details_per_request": 10, "details_request": lacks_one, "details": lacks_one}
SLICED = {
    "list_request": ImportSource.list_request,
    "slices": lambda self: (),
    "slice_request": lambda self, key, page, per_page: None,
    "stub": lambda self, item, key: None,
}
OF_PARENT = {name: hook for name, hook in SLICED.items() if name != "slices"}
#: hook -> the attributes that a source with that hook needs as well.
BESIDE = {
    "details_request": BATCH,
    "details": BATCH,
    "slices": SLICED,
    "slice_request": SLICED,
    "split": SLICED | {"max_results": 100},
    "changes_request": {"incremental": Incremental(), "position": lambda self, item: "1"},
}


def changed_model(**attributes):
    """Return Thing with other methods; it is not mapped again."""
    return type(
        "Model",
        (),
        {"__mapper__": Thing.__mapper__, **{name: getattr(Thing, name, lacks) for name in MODEL_HOOKS}, **attributes},
    )


@pytest.mark.parametrize("hook", EVERY_HOOK)
@pytest.mark.parametrize("function", [waits, waits_and_yields])
def test_a_hook_that_has_to_be_awaited_is_refused(hook, function):
    expected = "a plain method (def), since it only builds or reads; requests are sent elsewhere"
    with pytest.raises(ContractError) as refused:
        check_source(source(**{hook: function}))
    assert str(refused.value) == f"things.{hook}: expected {expected}, got async def"


@pytest.mark.parametrize("hook", MODEL_HOOKS)
@pytest.mark.parametrize("function", [waits, waits_and_yields])
def test_a_method_of_the_model_that_has_to_be_awaited_is_refused(hook, function):
    with pytest.raises(ContractError, match=rf"things\.model\.{hook}: .* got async def"):
        check_source(source(model=changed_model(**{hook: function})))


@pytest.mark.parametrize("hook", [each for each in EVERY_HOOK if each not in YIELDING])
def test_a_hook_that_yields_is_refused_except_for_those_that_read_several(hook):
    with pytest.raises(ContractError, match=rf"things\.{hook}: expected a method that returns, got one that yields"):
        check_source(source(**{hook: yields}))
    check_source(source(**BATCH | {"items": yields, "details": yields}))
    check_source(source(**SLICED | {"slices": yields}))


@pytest.mark.parametrize("hook", EVERY_HOOK)
def test_a_hook_that_takes_other_arguments_is_refused(hook):
    with pytest.raises(
        ContractError, match=rf"things\.{hook}: expected to take \({', '.join(SOURCE_HOOKS[hook])}\), got"
    ):
        check_source(source(**{hook: lambda self, a, b, c, d: None}))
    check_source(source(**BESIDE.get(hook, {}) | {hook: lambda self, *arguments, **more: None}))


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"details": lacks_one}, "details_per_request: expected a whole number from 1, such as 100, since the source"),
        (BATCH | {"details_per_request": 0}, "details_per_request: expected a whole number from 1 to 10,000, or None"),
        (BATCH | {"details_per_request": True}, "details_per_request: expected a whole number from 1 to 10,000"),
        ({"details_per_request": 10, "details": lacks_one}, "details_request: expected a method beside details_per_re"),
        ({"details_per_request": 10, "details_request": lacks_one}, "details: expected a method beside details_per_re"),
        (BATCH | {"conditional": True}, "conditional: expected False beside details_per_request: the ETag of a batch"),
        (BATCH | {"detail": lacks_one}, "detail: expected none beside `details`, unless the row has a method more"),
        ({"model": changed_model(more=lambda self: None)}, r"model.more: expected to take (self, detail), got (self)"),
    ],
)
def test_hooks_of_batches_that_contradict_each_other_are_refused(attributes, sentence):
    with pytest.raises(ContractError) as refused:
        check_source(source(**attributes))
    assert str(refused.value).startswith(f"things.{sentence}")


def test_a_row_of_a_source_with_batches_needs_no_request_of_its_own():
    check_source(source(**BATCH, model=Mute))
    check_source(source(**BATCH, model=Thing))
    check_source(source(**BATCH, model=changed_model(more=lacks), detail=lacks_one))


@pytest.mark.parametrize("hook", EVERY_HOOK)
def test_a_hook_that_is_no_method_is_refused(hook):
    with pytest.raises(ContractError, match=rf"things\.{hook}: expected a method, got bool"):
        check_source(source(**{hook: True}))


class Parent(Things):
    """A source whose items may have lists of their own."""

    name = "parents"


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        (
            {"slice_request": SLICED["slice_request"]},
            "slice_request: expected `parent` or a method slices beside it, got neither",
        ),
        ({"changed_only": True}, "changed_only: expected a `parent` whose changes it means, got none"),
        ({"changed_only": 1}, "changed_only: expected True or False, got 1"),
        (
            {"list_request": ImportSource.list_request},
            "list_request: expected a method; or slices with a method slice_request, got neither",
        ),
        (
            SLICED | {"parent": Parent},
            "slices: expected no method beside `parent`, whose items are the slices, got a method",
        ),
        (
            {"parent": Parent, "stub": SLICED["stub"]},
            "slice_request: expected a method that returns the request for a slice, got nothing",
        ),
        (
            SLICED | {"list_request": Things.list_request},
            "list_request: expected no method beside slice_request, which replaces it, got a method",
        ),
        (OF_PARENT | {"parent": 5}, "parent: expected the class of a source, or its name, got 5"),
        (OF_PARENT | {"parent": "things"}, "parent: expected another source, got itself"),
        (SLICED | {"stub": lambda self, item: None}, "stub: expected to take (item, key), got (item)"),
        (SLICED | {"max_results": 0}, "max_results: expected a whole number from 1, or None, got 0"),
        (SLICED | {"max_results": True}, "max_results: expected a whole number from 1, or None, got True"),
        ({"max_results": "10"}, "max_results: expected a whole number from 1, or None, got '10'"),
        (
            SLICED | {"split": split},
            "split: expected `max_results` beside it, the items to split at, got none",
        ),
        ({"split": split}, "split: expected `slices` or `parent` beside it, whose slices it splits, got neither"),
        (SLICED | {"split": lambda self: ()}, "split: expected to take (key), got ()"),
    ],
)
def test_slices_that_do_not_fit_together_are_refused(attributes, sentence):
    with pytest.raises(ContractError) as refused:
        check_source(source(**attributes))
    assert str(refused.value) == f"things.{sentence}"


@pytest.mark.parametrize(
    ("parents", "sentence"),
    [
        ({"a": "b"}, "a.parent: expected a source of the same list (no other source), got b"),
        ({"a": "x", "b": None}, "a.parent: expected a source of the same list (b), got x"),
        ({"a": "b", "b": "a"}, "a.parent: expected a source that is not below it itself, got a -> b -> a"),
        ({"a": "b", "b": "c", "c": "b"}, "a.parent: expected a source that is not below it itself, got b -> c -> b"),
    ],
)
def test_parents_that_are_missing_or_go_in_a_circle_are_refused(parents, sentence):
    with pytest.raises(ContractError) as refused:
        check_parents([source(**OF_PARENT, name=name, parent=parent) for name, parent in parents.items()])
    assert str(refused.value) == sentence


def test_a_parent_of_a_parent_is_allowed():
    check_parents(
        [source(name="a"), source(**OF_PARENT, name="b", parent="a"), source(**OF_PARENT, name="c", parent="b")]
    )
