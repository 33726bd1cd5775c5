"""Corrections: drop what was learned about an API if a person or an answer shows that it no longer holds.

Pure, on the shared state. `stores/lua/40_adaptation.lua` does the same in Redis.
"""

from collections.abc import Sequence

from import_pipeline.ratelimit.algorithm import trials
from import_pipeline.ratelimit.algorithm.adaptation import NOTHING_LEARNED
from import_pipeline.ratelimit.algorithm.state import WHOLE, ApiState
from import_pipeline.ratelimit.protocol import ExchangeRequest


def configure(state: ApiState, source: str, tiers: Sequence[tuple[int, int]], concurrent: int) -> None:
    """Compare a source's configured limits with those of its last process. If they changed, drop what those taught.

    A pause that the server named stays: it is not a conclusion of ours.
    """
    limits = ",".join(f"{amount}/{window}" for amount, window in tiers) + f";{concurrent}"
    if state.configured_limits.get(source, limits) != limits:
        state.paused_until = min(state.paused_until, state.hinted_until)
        state.learned_fraction, state.advertised_fraction, state.advertised_at = NOTHING_LEARNED
        state.other_profiles, state.inferred_tiers, state.inferred_concurrency = {}, [], 0
        trials.reset(state)
        state.refused_at = state.advertised_full_at = state.strict_until = 0
    state.configured_limits[source] = limits


def lift_pause(state: ApiState) -> None:
    """End the pause. If it followed a refusal, one request still tries first."""
    state.paused_until = state.hinted_until = 0


def refute(state: ApiState, limits: Sequence[int]) -> None:
    """Drop limits that headers named and that later answers refuted."""
    if limits:
        state.advertised_fraction = WHOLE
        state.inferred_tiers = [tier for tier in state.inferred_tiers if tier[0] not in limits]


def correct(state: ApiState, request: ExchangeRequest) -> None:
    """Apply the corrections in an exchange request."""
    if request.source:
        configure(state, request.source, request.tiers, request.concurrent)
    if request.lift_pause:
        lift_pause(state)
    refute(state, request.refuted_limits)
