"""The hooks of a source that say what a response means."""

import httpx

from import_pipeline.rules.responses.actions import ResponseAction


class AnswerHooks:
    """The meaning of a response, if it differs from that of its status."""

    def classify(self, response: httpx.Response) -> ResponseAction | None:
        """Return what a response means, or None: then its status decides.

        Return `ACCEPT`, `NOT_MODIFIED`, `RETRY(after=...)`, `RATE_LIMITED(wait=...)`, `SKIP`, `GONE`, `FAIL(reason)` or
        `STOP(reason)`. It is called once for each response to a list or detail request, with its whole body:

            def classify(self, response):
                if response.is_success and response.json().get("error") == "quota":
                    return RATE_LIMITED(wait=30)

        If it raises, the item fails, or the page is requested again; an error status keeps its meaning.
        """
        return None

    def is_rate_limited(self, response: httpx.Response) -> bool:
        """Return True if a response other than 429 means "rate limited", such as a 403 or a 200 with an error.

        Asked if `classify` returns None. If it raises, the status decides, and a request answered with 2xx is repeated.
        """
        return False
