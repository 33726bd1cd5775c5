"""Claimed items in batches: new ones wait until theirs is full, failed ones do not and keep to themselves."""

import asyncio

import httpx
import pytest

from import_pipeline.importer.enrichment.claimed_items import ClaimedItem, ClaimedItems
from import_pipeline.importer.enrichment.follow_ups import Begun
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking.claims import Claim, Done

SIZES = {0: 3, 1: 2, 2: 1}


def items(*numbers, failures=0):
    return [
        ClaimedItem(
            claim=Claim(status_id=number, external_id=str(number), failure_count=failures),
            importable=ImportedItem(external_id=str(number)),
        )
        for number in numbers
    ]


async def taken(claimed):
    """Return the numbers of what can be taken at once; None if a fetcher would have to wait."""
    taking = asyncio.ensure_future(claimed.take())
    for _ in range(5):
        await asyncio.sleep(0)
    if not taking.done():
        taking.cancel()
        return None
    found = taking.result()
    return found.done.claim.status_id if isinstance(found, Begun) else [each.claim.status_id for each in found]


@pytest.fixture
def claimed():
    return ClaimedItems(SIZES.__getitem__)


@pytest.mark.anyio
async def test_new_items_wait_for_a_full_batch(claimed):
    claimed.add(items(1, 2))
    assert await taken(claimed) is None
    claimed.add(items(3, 4))
    assert (await taken(claimed), await taken(claimed), len(claimed)) == ([1, 2, 3], None, 1)


@pytest.mark.anyio
async def test_the_rest_is_given_once_no_more_come_and_waits_again_if_they_do(claimed):
    claimed.add(items(1, 2, 3, 4))
    claimed.give_incomplete()
    assert (await taken(claimed), await taken(claimed)) == ([1, 2, 3], [4])
    claimed.add(items(5))
    assert await taken(claimed) is None


@pytest.mark.anyio
async def test_failed_items_go_first_in_smaller_batches_of_their_own(claimed):
    claimed.add([*items(1, 2, 3), *items(4, 5, 6, failures=1), *items(7, failures=2)])
    assert [await taken(claimed) for _ in range(5)] == [[7], [4, 5], [6], [1, 2, 3], None]


@pytest.mark.anyio
async def test_an_item_that_wants_a_follow_up_request_goes_before_all_others(claimed):
    [begun] = items(9)
    claimed.add(items(1, 2, 3))
    done = Done(claim=begun.claim, importable=begun.importable)
    claimed.add_begun(Begun(done=done, following=httpx.Request("GET", "/more"), sent=frozenset()))
    assert (await taken(claimed), await taken(claimed)) == (9, [1, 2, 3])


@pytest.mark.anyio
async def test_a_waiting_fetcher_is_woken_by_the_item_that_fills_its_batch(claimed):
    waiting = asyncio.ensure_future(claimed.take())
    claimed.add(items(1, 2))
    await asyncio.sleep(0)
    assert not waiting.done()
    claimed.add(items(3))
    assert len(await waiting) == 3
    assert claimed.taken.is_set()
