"""A search that finds at most CAP items, and sources that read it by ranges."""

import httpx

from import_pipeline_tests.support.sliced_api import Comments

CAP = 30


class Search:
    """Finds the numbers of a range `first-last`, at most CAP of them.

    `refuses`: it refuses pages beyond the cap; otherwise its list ends there. `total`: None, "true" or "capped".
    """

    def __init__(self, count, *, total=None, refuses=False, size=10):
        self.ids = [str(number) for number in range(count)]
        self.total, self.refuses, self.size = total, refuses, size
        self.asked = []
        self.broken = set()  #: ranges that are answered by 404

    def __call__(self, request):
        key, page = request.url.params["range"], int(request.url.params["page"])
        self.asked.append((key, page))
        if key in self.broken:
            return httpx.Response(404)
        first, last = map(int, key.split("-"))
        found = [each for each in self.ids if first <= int(each) <= last]
        if self.refuses and page * self.size > CAP:
            return httpx.Response(422, json={"message": "only the first results are available"})
        shown = found if self.refuses else found[:CAP]
        total = {None: None, "true": len(found), "capped": min(len(found), CAP)}[self.total]
        items = shown[(page - 1) * self.size : page * self.size]
        return {"data": [{"id": each} for each in items], "more": page * self.size < len(shown), "total": total}


class Ranges(Comments):
    """Searches by ranges of numbers, without a way to split them."""

    parent = None
    max_results = CAP

    def __init__(self, *keys):
        self.keys = keys

    def slices(self):
        return self.keys

    def slice_request(self, key):
        return httpx.Request("GET", "/search", params={"range": key})


class Halves(Ranges):
    """Splits a range into halves, down to one number."""

    def split(self, key):
        first, last = map(int, key.split("-"))
        middle = (first + last) // 2
        if first < last:
            yield f"{first}-{middle}"
            yield f"{middle + 1}-{last}"
