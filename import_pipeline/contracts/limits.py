"""The rate limits of a source: one set for all requests, or one per endpoint."""

from collections.abc import Mapping

from import_pipeline.settings.endpoint_limits import join_endpoints


class RateLimits:
    """The rate limits of a source."""

    #: Rate limits in the notation of the library `limits`, all of which apply: "500/20 second; 2000/100 second".
    #: "20 concurrent" limits the requests in flight. Empty: no limits; they are inferred from the API's answers.
    #: Limits per endpoint: {"/search": "5/1 second", "": "100/10 second"}; the longest matching path counts.
    limits: str | Mapping[str, str] = ""

    @property
    def limits_text(self) -> str:
        """The limits as one text, such as `100/10 second; /search: 5/1 second`."""
        return join_endpoints(self.limits or "")
