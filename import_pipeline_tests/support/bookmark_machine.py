"""A state machine of incremental imports: a bookmark never passes an item that was not imported.

Each step holds an import. After it, every item up to the bookmark is in the table in its latest version, or is owed;
after an import in peace, all items are.
"""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from import_pipeline import Incremental
from import_pipeline.rules.status import ImportKind
from import_pipeline_tests.support.bookmark_world import IN_PEACE, LOOKBACK, BookmarkWorld
from import_pipeline_tests.support.changes_api import ChangesApi, source_for

some = st.integers(min_value=0, max_value=9)
ids = st.sets(some, max_size=1)
change = st.tuples(st.sampled_from(["change"] * 4 + ["add", "delete", "wait"] + ["late"] * 4), some)
#: Changes before an import; most of their moments are over when it begins, so that the bookmark may pass them.
changes = st.lists(change, min_size=1, max_size=3)
pause = st.sampled_from([3, 3, 3, 0.4, 70, 8000])
act = st.one_of(change, st.tuples(st.sampled_from(["overtake", "overtake", "cancel", "set", "reset", "prune"]), some))
#: What happens before the n-th request of a process.
acts = st.dictionaries(
    st.integers(min_value=2, max_value=7), st.lists(act, min_size=1, max_size=2), min_size=1, max_size=2
)
options = st.sampled_from(
    [{}] * 6 + [{"full": True}, {"fresh": True}, {"limit": 2}, {"only": ("0", "1")}, {"kind": ImportKind.DISCOVERY}]
)


class BookmarkMachine(BookmarkWorld, RuleBasedStateMachine):
    """Random imports of a random source, among faults; at the end, each fault once, and then peace."""

    @initialize(
        form=st.sampled_from(["time", "number"]),
        order=st.sampled_from([None, "oldest_first", "newest_first"]),
        is_keyset=st.booleans(),
        has_total=st.sampled_from([True, True, False]),
        lookback=st.booleans(),
        full_every=st.sampled_from([None, None, timedelta(hours=5)]),
        per_page=st.sampled_from([1, 2, 2, 4]),
        is_whole=st.booleans(),
        is_versioned=st.sampled_from([True, True, False]),
    )
    def an_api_is_there(
        self, form, order, is_keyset, has_total, lookback, full_every, per_page, is_whole, is_versioned
    ):
        self.api = ChangesApi(
            clock=self.clock,
            form=form,
            order=order,
            is_keyset=is_keyset,
            has_total=has_total,
            has_filter=order != "newest_first",
        )
        span = timedelta(seconds=90) if form == "time" else LOOKBACK
        self.source = source_for(self.api, is_whole=is_whole, is_versioned=is_versioned)
        self.source.incremental = Incremental(lookback=span if lookback else 0, full_every=full_every)
        self.source.per_page = per_page
        self.api.add(*range(5))
        self.clock.advance(5)

    @rule(changes=changes, seconds=pause, options=options)
    def an_import_in_peace(self, changes, seconds, options):
        self.finish()
        outcome = self.an_import(changes, seconds, IN_PEACE, options)
        if not options and outcome is not None:
            assert (outcome.status, outcome.items_failed_count, outcome.incomplete_reason) == ("completed", 0, None)
            self.all_is_there()

    @rule(changes=changes, seconds=pause, page=st.integers(min_value=2, max_value=3), which=some, acts=acts)
    def the_list_changes_while_it_is_read(self, changes, seconds, page, which, acts):
        self.enough_changes_for_two_pages(which)
        self.api.page_hook = lambda number: self.a_change_overtakes_another(which) if number == page else None
        self.an_import(changes, seconds, dict(IN_PEACE, acts=acts))
        self.api.page_hook = lambda number: None

    @rule(changes=changes, seconds=pause, broken=ids)
    def items_fail(self, changes, seconds, broken):
        """Answer the details of changed items with errors; the import reaches its end."""
        self.an_import(changes, seconds, dict(IN_PEACE, broken=broken | {which for _, which in changes[:2]}))

    @rule(changes=changes, seconds=pause, kill_at=st.integers(min_value=1, max_value=150), acts=acts)
    def an_import_is_killed(self, changes, seconds, kill_at, acts):
        self.an_import(changes, seconds, {"kill_at": kill_at, "broken": set(), "acts": acts})

    @rule(
        end=st.sampled_from(["cut", "cut", "broken", "cancel"]),
        number=st.integers(min_value=1, max_value=3),
        which=some,
        is_retried=st.booleans(),
    )
    def an_import_ends_early(self, end, number, which, is_retried):
        """Let the list end too early or fail, or cancel the import; then perhaps let the scheduled retry run."""
        self.enough_changes_for_two_pages(which)
        self.api.cut = number if end == "cut" and self.api.has_total else None
        acts = {} if end == "cut" else {number: [(end, which)]}
        self.an_import([], 3, dict(IN_PEACE, acts=acts))
        self.api.cut, self.api.broken_lists = None, 0
        if is_retried:
            self.the_bookmark_has_passed_nothing()
            self.a_scheduled_retry()

    @rule(changes=changes, seconds=pause, places=st.tuples(*[ids] * 3), broken=ids, acts=acts)
    def the_list_shows_items_wrongly(self, changes, seconds, places, broken, acts):
        """Show some list items without an id, with a position of another kind, or without a position."""
        self.api.unreadable, self.api.odd, self.api.unplaced = ({str(each) for each in some_ids} for some_ids in places)
        self.an_import(changes, seconds, dict(IN_PEACE, broken=broken, acts=acts))
        self.api.unreadable, self.api.odd, self.api.unplaced = set(), set(), set()

    @rule(deed=st.sampled_from(["set", "reset", "prune", "retry", "delete"]), which=some, changes=changes, acts=acts)
    def a_person_acts(self, deed, which, changes, acts):
        self.meanwhile(deed, which)
        self.an_import(changes, 3, dict(IN_PEACE, acts=acts))

    @invariant()
    def nothing_is_passed(self):
        self.the_bookmark_has_passed_nothing()

    def each_fault_happens_once(self):
        """Meet the faults that random steps may leave out, each after changes, and check what must hold."""
        self.a_fault_happens(0, broken={0, 1}, late=True)
        for which in (0, 1):
            self.a_fault_happens(which, on_page_2=lambda which=which: self.a_change_overtakes_another(which))
        if self.api.has_total:
            self.api.cut = 1
            self.a_fault_happens(3)
            self.api.cut = None
        for act in ("broken", "cancel"):
            self.a_fault_happens(3, on_page_2=lambda act=act: self.meanwhile(act, 0))
            self.api.broken_lists = 0

    def a_fault_happens(self, which, *, on_page_2=lambda: None, broken=(), late=False):
        self.enough_changes_for_two_pages(which)
        if late:
            self.the_api_changes(("late", which))
        self.api.page_hook = lambda number: on_page_2() if number == 2 else None
        self.an_import([], 3, dict(IN_PEACE, broken=set(broken)))
        self.api.page_hook = lambda number: None
        self.the_bookmark_has_passed_nothing()

    def teardown(self):
        """Let the API be right and quiet; soon all is in the table, and an import costs next to nothing."""
        if not hasattr(self, "api"):
            return
        self.each_fault_happens_once()
        self.all_is_quiet()
        self.the_api_changes(("change", 0))
        self.all_is_quiet(seconds=3)
        self.the_api_changes(("late", 1))
        self.clock.advance(3)
        self.run(IN_PEACE, {})
        self.all_is_there()

    def all_is_quiet(self, seconds=300):
        """Import until the bookmark has caught up: counted pages come twice."""
        for _ in range(3):
            self.clock.advance(seconds)
            outcome = self.run(IN_PEACE, {})
            self.the_bookmark_has_passed_nothing()
        assert (outcome.status, outcome.items_failed_count, outcome.incomplete_reason) == ("completed", 0, None)
        self.all_is_there()
        assert self.place(self.bookmark()) == max(item.place for item in self.api.items.values())
