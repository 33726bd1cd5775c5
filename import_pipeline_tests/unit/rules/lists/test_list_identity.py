"""The fingerprint of a list, from the requests for its pages."""

from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline.rules.lists.list_identity import fingerprint

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=3)


def of(target="/things?per_page=5&sort=id", *, now=NOON, method="GET", headers=(), body=""):
    return fingerprint(method, target, list(headers), body, now)


@pytest.mark.parametrize(
    "other",
    [
        of("/things?per_page=20&sort=id"),
        of("/things?per_page=5&sort=name"),
        of("/others?per_page=5&sort=id"),
        of(method="POST"),
        of(headers=[("X-Version", "2")]),
        of(body='{"sort": "id"}'),
        of("/things?per_page=5&sort=id&since=2020-01-01T00:00:00Z"),
        of("/things?per_page=5&sort=id&since=1577836800"),
        of("/things?per_page=5&sort=id&page_key=b"),
    ],
)
def test_another_list_has_another_fingerprint(other):
    assert other != of()


def test_fixed_moments_distinguish_lists():
    assert of("/things?since=2020-01-01T00:00:00Z") != of("/things?since=2021-01-01T00:00:00Z")
    assert of("/things?since=1577836800") != of("/things?since=1609459200")


@pytest.mark.parametrize(
    "at",
    [
        lambda now: f"/things?until={now.isoformat()}",
        lambda now: f"/things?until={now:%Y-%m-%dT%H%%3A%M%%3A%S}Z",
        lambda now: f"/things?ts={now.timestamp():.0f}&sign={hash(now)}",
        lambda now: f"/things?ts={now.timestamp() * 1000:.0f}&nonce={hash(now)}",
        lambda now: f"/things?sort=id&signature={hash(now)}&page=1",
    ],
)
def test_the_clock_and_signatures_are_no_part_of_it(at):
    assert of(at(NOON), now=NOON) == of(at(LATER), now=LATER)


def test_they_are_no_part_of_it_in_headers_and_bodies_either():
    def signed(now):
        headers = [("X-Signature", str(hash(now))), ("X-Time", now.isoformat())]
        body = f'{{"signature": "{hash(now)}", "until": {now.timestamp():.0f}, "sort": "id"}}'
        return of(headers=headers, body=body, now=now)

    assert signed(NOON) == signed(LATER)
