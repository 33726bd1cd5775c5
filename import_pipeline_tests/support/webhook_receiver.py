"""A server that receives notifications."""

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route


class WebhookReceiver:
    """Records requests and answers with a fixed status: `heard` lists (path, idempotency key, JSON)."""

    def __init__(self, status=204, headers=None):
        self.heard, self.status, self.headers = [], status, headers
        self.app = Starlette(routes=[Route("/{path:path}", self.hear, methods=["POST", "GET"])])

    async def hear(self, request):
        content = await request.json() if request.method == "POST" else request.method
        self.heard.append((request.url.path, request.headers.get("idempotency-key"), content))
        return Response(status_code=self.status, headers=self.headers)
