"""How tests ask servers themselves: through one client, since each new one first reads all certificates (30 ms of CPU).

No connection is kept, so that every question is one of its own, as with `httpx.get`.
"""

import httpx

CLIENT = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
get, post = CLIENT.get, CLIENT.post
