"""The application from a client's side, without a server and without waiting."""

import httpx
import pytest

from source_api import ConnectionDropped

EPOCH = 1_700_000_000

pytestmark = pytest.mark.anyio


async def statuses(client, *paths, **more):
    return [(await client.get(path, **more)).status_code for path in paths]


async def test_the_list_and_the_details_have_the_same_items(api):
    async with api(items=32) as client:
        page = (await client.get("/api/items", params={"page": 3})).json()
        assert (page["total"], page["from"], page["to"], page["path"]) == (32, 31, 32, "http://demo/api/items")
        for short in page["data"]:
            item = (await client.get(f"/api/items/{short['id']}")).json()
            assert list(item) == ["id", "name", "description", "price", "created_at", "updated_at"]
            assert {key: item[key] for key in short} == short


async def test_following_the_links_reads_every_item_once(api):
    async with api(items=32) as client:
        ids, url = [], "/api/items?perPage=10"
        while url:
            page = (await client.get(url)).json()
            ids += [item["id"] for item in page["data"]]
            url = page["next_page_url"]
        assert ids == list(range(1, 33))


@pytest.mark.parametrize("path", ["/api/items/33", "/api/items/0", "/api/items/007", "/api/items/x", "/nothing"])
async def test_what_is_not_there_is_a_404_with_a_message(api, path):
    async with api(items=32) as client:
        answer = await client.get(path)
        assert (answer.status_code, list(answer.json())) == (404, ["message"])


async def test_the_root_says_what_this_is(api):
    async with api(items=3) as client:
        answer = (await client.get("/")).json()
        assert (answer["items"], answer["limits"]) == (3, ["500/20 s", "2000/100 s"])


async def test_limits_count_per_client_over_all_paths_and_give_a_retry_time(api, clock):
    async with api(limits="2/10 second; 3/60 second") as client:
        first = await client.get("/api/items")
        clock.now = 4.25
        second = await client.get("/api/items/1")
        third = await client.get("/api/items/2")
        assert rate(first) == ("2", "1", str(EPOCH + 10))
        assert rate(second) == ("2", "0", str(EPOCH + 10))
        assert rate(third) == ("2", "0", str(EPOCH + 10))
        assert (third.status_code, third.headers["retry-after"]) == (429, "6")
        assert third.json() == {"message": "Too Many Attempts.", "retry_after": 6}
        assert await statuses(client, "/api/items/2", headers={"Authorization": "Bearer other"}) == [200]
        clock.now = 10.0
        assert rate(await client.get("/api/items/2")) == ("3", "0", str(EPOCH + 60))


def rate(answer: httpx.Response):
    return tuple(answer.headers.get(f"x-ratelimit-{name}") for name in ("limit", "remaining", "reset"))


async def test_the_helpful_headers_can_be_left_out(api):
    async with api(limits="1/10 second", rate_headers=False, retry_after=False) as client:
        first, second = await client.get("/api/items/1"), await client.get("/api/items/1")
        assert rate(first) == rate(second) == (None, None, None)
        assert (second.status_code, "retry-after" in second.headers, second.json()["retry_after"]) == (429, False, 10)


async def test_without_limits_there_are_no_rate_limit_headers(api):
    async with api(limits="none") as client:
        assert rate(await client.get("/api/items/1")) == (None, None, None)


async def test_a_server_with_a_token_answers_401_without_it_and_does_not_count_that(api):
    async with api(token="hunter2", limits="1/10 second") as client:
        assert await statuses(client, "/api/items/1", "/nothing", "/health") == [401, 401, 200]
        assert await statuses(client, "/api/items/1", headers={"Authorization": "Bearer hunter"}) == [401]
        right = {"Authorization": "Bearer hunter2"}
        assert await statuses(client, "/api/items/1", "/api/items/1", headers=right) == [200, 429]


async def test_delays_lie_on_both_sides_of_the_arrival_with_jitter_on_each(api, clock):
    async with api(delay_before_ms=1000, delay_after_ms=3000, jitter_ms=500) as client:
        await client.get("/api/items/1")
        before, after = clock.slept
        assert 1 <= before <= 1.5
        assert 3 <= after <= 3.5
        assert (await client.get("/_log")).json() == [[before, "/api/items/1", 200]]


async def test_without_delays_nothing_sleeps(api, clock):
    async with api() as client:
        await client.get("/api/items/1")
        assert clock.slept == []


async def test_faults_happen_to_their_targets_as_often_as_ordered(api):
    async with api(faults=("17=status:500*2", "18=status:404", "page:2=status:503:7*1")) as client:
        assert await statuses(client, *["/api/items/17"] * 3) == [500, 500, 200]
        assert await statuses(client, *["/api/items/18"] * 3) == [404] * 3
        page = await client.get("/api/items?page=2")
        assert (page.status_code, page.headers["retry-after"]) == (503, "7")
        assert await statuses(client, "/api/items?page=2", "/api/items?page=1", "/api/items/2") == [200] * 3


async def test_faulty_bodies_arrive_with_status_200(api):
    async with api(faults=("19=garbage", "22=body:[1,2]", "24=status:204")) as client:
        garbage = await client.get("/api/items/19")
        assert garbage.status_code == 200
        with pytest.raises(ValueError, match="Unterminated string"):
            garbage.json()
        assert (await client.get("/api/items/22")).json() == [1, 2]
        assert (await client.get("/api/items/24")).content == b""


async def test_a_drop_without_a_server_raises_in_the_client(api):
    async with api(faults=("21=drop",)) as client:
        with pytest.raises(ConnectionDropped):
            await client.get("/api/items/21")
        assert (await client.get("/_stats")).json()["unanswered"] == 1


async def test_a_fault_takes_a_place_in_the_limits_like_any_answer(api):
    async with api(faults=("17=status:500",), limits="1/10 second") as client:
        assert await statuses(client, "/api/items/17", "/api/items/17") == [500, 429]


async def test_statistics_count_all_requests_and_a_reset_clears_them(api, clock):
    async with api(limits="3/10 second", faults=("2=status:500*1",)) as client:
        await statuses(client, "/api/items/1", "/api/items/1", "/api/items/2", "/api/items/3", "/health")
        assert (await client.get("/_stats")).json() == {
            "requests": 4,
            "admitted": 3,
            "details": 3,
            "by_status": {"200": 2, "429": 1, "500": 1},
            "rate_limited": 1,
            "unanswered": 0,
            "first_admitted": 0.0,
            "last_admitted": 0.0,
            "repeated_details": {"1": 2},
            "in_flight": 0,
            "peak_concurrency": 1,
        }
        assert (await client.post("/_reset")).status_code == 204
        assert (await client.get("/_log")).json() == []
        assert await statuses(client, "/api/items/2", "/api/items/2") == [500, 200]
