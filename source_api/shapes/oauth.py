"""OAuth 2 with short-lived access tokens, rotating refresh tokens, a query language (as Salesforce's, Xero's)."""

import re
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from source_api.shapes.records import Record, iso, seconds_of
from source_api.shapes.shape import Call, Refusal, Shape, too_many, whole

CLIENT_ID, CLIENT_SECRET, FIRST_REFRESH_TOKEN = "shape-client", "shape-secret", "refresh-0"
QUERY = re.compile(
    r"SELECT (?P<fields>[A-Za-z, ]+) FROM Account(?: WHERE SystemModstamp >= (?P<since>\S+))?"
    r"(?: ORDER BY SystemModstamp)?",
)
PAGE = re.compile(r"(?P<since>\d+)-(?P<start>\d+)-(?P<fields>[A-Za-z,]+)")


class OauthShape(Shape):
    """Accounts: `GET /query?q=SELECT Id,Name FROM Account`, then `nextRecordsUrl` until `done`.

    `POST /oauth/token` takes the grants `client_credentials` and `refresh_token`. A refresh token is good for one
    request, whose answer brings the next one; one that is used again is refused and revokes all tokens, as does a
    theft. Deleted records come with `IsDeleted`.
    """

    name = "oauth"
    limits = "100/20 second"

    def prepare(self) -> None:
        """Begin without access tokens."""
        self._tokens: dict[str, float] = {}  # access token -> end of its life
        self._refresh_token, self._issued = FIRST_REFRESH_TOKEN, 0

    def routes(self) -> list[Route]:
        """Return the token endpoint and the query."""
        return [
            self.route("/oauth/token", "token", self._token, "POST"),
            self.route("/query", "list", self._first_page),
            self.route("/query/{page}", "list", self._later_page),
        ]

    def _token(self, call: Call) -> Response:
        form = {name: values[0] for name, values in parse_qs(call.content.decode()).items()}
        if _credentials(call, form) != (CLIENT_ID, CLIENT_SECRET):
            raise Refusal(401, "invalid_client", body={"error": "invalid_client"})
        grant = form.get("grant_type")
        if grant not in {"client_credentials", "refresh_token"}:
            raise Refusal(400, f"grant {grant}", body={"error": "unsupported_grant_type"})
        if grant == "refresh_token" and form.get("refresh_token") != self._refresh_token:
            self._tokens.clear()
            raise Refusal(400, "a refresh token was used twice", body={"error": "invalid_grant"})
        self._issued += 1
        token = f"access-{self._issued}"
        self._tokens[token] = self.clock() + self.options.token_seconds
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.options.token_seconds}
        if grant == "refresh_token":
            self._refresh_token = answer["refresh_token"] = f"refresh-{self._issued}"
        return JSONResponse(answer)

    def _first_page(self, call: Call) -> Response:
        self._check(call)
        call.only("q")
        asked = QUERY.fullmatch(" ".join(call.query.get("q", "").split()))
        if asked is None:
            raise Refusal(400, "MALFORMED_QUERY")
        since = seconds_of(asked["since"]) if asked["since"] else 0
        if since is None:
            raise Refusal(400, "SystemModstamp: expected a time with an offset")
        return self._page(since, 0, asked["fields"].replace(" ", ""))

    def _later_page(self, call: Call) -> Response:
        self._check(call)
        call.only()
        asked = PAGE.fullmatch(call.values["page"])
        if asked is None:
            raise Refusal(404, "INVALID_QUERY_LOCATOR")
        return self._page(whole(asked["since"], "since"), whole(asked["start"], "start"), asked["fields"])

    def _page(self, since: int, start: int, fields: str) -> Response:
        found = self.records.by_change(since)
        end = start + self.options.page
        answer: dict[str, Any] = {
            "totalSize": len(found),
            "done": end >= len(found),
            "records": [_account(each, fields.split(",")) for each in found[start:end]],
        }
        if end < len(found):
            answer["nextRecordsUrl"] = quote(f"/query/{since}-{end}-{fields}")
        return JSONResponse(answer)

    def _check(self, call: Call) -> None:
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or self._tokens.get(token, 0.0) <= self.clock():
            raise Refusal(401, "INVALID_SESSION_ID: no token, or an expired one")
        too_many(self.admit())


def _credentials(call: Call, form: dict[str, str]) -> tuple[str | None, str | None]:
    """Return the client's id and secret, from the Authorization header or the body (RFC 6749, 2.3.1)."""
    kind, _, text = call.headers.get("authorization", "").partition(" ")
    if kind == "Basic":
        client, _, secret = b64decode(text).decode().partition(":")
        return client, secret
    return form.get("client_id"), form.get("client_secret")


def _account(record: Record, fields: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "Id": f"001{record.number:012}",
        "Name": record.name,
        "Email": record.email,
        "Amount": record.amount,
        "IsDeleted": record.deleted,
        "SystemModstamp": iso(record.modified),
    }
    if unknown := set(fields) - values.keys():
        raise Refusal(400, f"INVALID_FIELD: {sorted(unknown)}")
    return {name: values[name] for name in fields}
