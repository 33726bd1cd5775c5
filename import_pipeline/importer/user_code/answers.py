"""Ask a source what a response means."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import httpx

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import HookFailed
from import_pipeline.importer.excerpts import MOST_REPORTED, excerpt, register_response_secrets
from import_pipeline.importer.user_code.hooks import ACTION_OR_NONE, FLAG, call_hook
from import_pipeline.ratelimit import ACTION
from import_pipeline.rules.responses.actions import CLASSIFY, ActionKind, ResponseAction, unsaid
from import_pipeline.wording import visible


@dataclass(frozen=True)
class Refusals:
    """Asks the source whether a response other than a 429 means the same as a 429."""

    source: ImportSource

    def __call__(self, response: httpx.Response) -> bool:
        """Return True if the response means the same as a 429.

        If the hook fails on an unsuccessful response, its status decides. On a successful one, the request has failed
        and may be retried: raises httpx.RequestError.
        """
        try:
            return call_hook(self.source, "is_rate_limited", response, returns=FLAG, response=response)
        except HookFailed as error:
            if not response.is_success:
                return False
            raise httpx.RequestError(str(error), request=response.request) from error


@dataclass(frozen=True)
class Classifier:
    """Asks the source for the action that a response means. Its reason is masked and can be stored."""

    source: ImportSource

    def __call__(self, response: httpx.Response) -> ResponseAction | None:
        """Return the source's action, or None. An error of the hook becomes an action that carries it."""
        try:
            action = call_hook(self.source, "classify", response, returns=ACTION_OR_NONE, response=response)
        except HookFailed as error:
            return ResponseAction(ActionKind.FAIL, str(error), is_hook_failure=True)
        if action is None:
            return None
        if not action.reason:
            return self._with_words(action, response)
        register_response_secrets(response)
        return replace(action, reason=excerpt(visible(action.reason), MOST_REPORTED))

    def _with_words(self, action: ResponseAction, response: httpx.Response) -> ResponseAction:
        """Return an action that has no reason, with one that names the key if the source is declared."""
        words = self.source.hook_words.get(CLASSIFY)
        if words is None or action.kind is ActionKind.ACCEPT:
            return action
        return replace(action, reason=unsaid(response.status_code, action.kind, words))


def classifier_of(source: ImportSource) -> Callable[[httpx.Response], ResponseAction | None] | None:
    """Return the source's classifier; None if it has the default, so that no body is read just for it."""
    return None if type(source).classify is ImportSource.classify else Classifier(source)


def refusals_of(source: ImportSource) -> Callable[[httpx.Response], bool] | None:
    """Return the source's test for refusals; None if it has the default, so that no response is copied just for it."""
    return None if type(source).is_rate_limited is ImportSource.is_rate_limited else Refusals(source)


def stated_action(response: httpx.Response) -> ResponseAction | None:
    """Return the action that the source stated for a received response, or None."""
    action: ResponseAction | None = response.extensions.get(ACTION)
    return action
