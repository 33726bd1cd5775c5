"""The meaning of a whole answer for the limiter: a refusal as too many, or not. The caller's hooks may decide."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import httpx

from import_pipeline.ratelimit.http.body import headers_of_unpacked
from import_pipeline.ratelimit.http.response import Answer
from import_pipeline.rules.responses.actions import ActionKind, ResponseAction

#: The extension of an answer with the action that `classify` stated for it.
ACTION = "import_pipeline_action"


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """An answer is a refusal or not. A refusal may name its wait."""

    refused: bool
    wait: timedelta | None = None
    action: ResponseAction | None = None  #: as `classify` stated it


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """The caller's hooks. `classify` is asked about each answer, `is_rate_limited` about those without an action."""

    classify: Callable[[httpx.Response], ResponseAction | None] | None = None
    is_rate_limited: Callable[[httpx.Response], bool] | None = None

    def read(self, request: httpx.Request, answer: httpx.Response, body: bytes, *, refused: bool) -> Meaning:
        """Return the meaning of an answer with that body. `refused`: its status and headers say "too many"."""
        if self.classify is None and (refused or self.is_rate_limited is None):
            return Meaning(refused=refused)
        whole = Answer(
            answer.status_code, headers=headers_of_unpacked(answer.headers, body), content=body, request=request
        )
        action = self.classify(whole) if self.classify else None
        if action is not None and not (action.is_hook_failure and refused):
            return Meaning(refused=action.kind is ActionKind.RATE_LIMITED, wait=action.wait, action=action)
        if not refused and self.is_rate_limited is not None:
            refused = self.is_rate_limited(whole)
        return Meaning(refused=refused)
