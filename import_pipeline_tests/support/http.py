"""One HTTP client for the requests of tests: each new client reads all certificates first (30 ms of CPU).

It keeps no connections, as with `httpx.get`.
"""

import httpx

CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
get, post = CLIENT.get, CLIENT.post
