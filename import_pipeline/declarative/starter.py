"""The first lines of a declared source, to fill in: written by `dg scaffold` and by `new-source --yaml`."""

import json

_WORDS = """\
name: {name}
base_url: {base_url}
limits: 100/10 second  # all of them apply: 500/20 second; 2000/100 second
list: /{name}
items: data  # the path of the items in a page
version: updated_at  # while it is unchanged, the details are not fetched again
pages: {{type: page_number, param: page, size: per_page, last: last_page}}
detail: /{name}/{{id}}  # leave it out if the list has everything
columns:
  title: name
  updated_at: {{path: updated_at, type: datetime}}
"""


def starter(name: str, base_url: str) -> str:
    """Return the words that most sources need."""
    return _WORDS.format(name=name, base_url=json.dumps(base_url))
