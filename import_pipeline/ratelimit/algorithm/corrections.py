"""Ends what is kept about an api when a person or an answer shows that it no longer holds.

Pure, on the shared state. `lua/` does the same in Redis.
"""

from collections.abc import Sequence

from import_pipeline.ratelimit.algorithm import trials
from import_pipeline.ratelimit.algorithm.state import WHOLE, ApiState
from import_pipeline.ratelimit.algorithm.stored_adaptation import NOTHING
from import_pipeline.ratelimit.protocol import ExchangeRequest


def configure(shared: ApiState, source: str, tiers: Sequence[tuple[int, int]], concurrent: int) -> None:
    """Compare a source's configured limits with those of its last process; if they changed, drop what those taught.

    A pause that the server named stays: it is no conclusion of ours.
    """
    limits = ",".join(f"{amount}/{window}" for amount, window in tiers) + f";{concurrent}"
    if shared.configured.get(source, limits) != limits:
        shared.pause = min(shared.pause, shared.hinted)
        shared.learned, shared.told, shared.told_at = NOTHING
        shared.set_aside, shared.found, shared.at_once = {}, [], 0
        trials.forget_all(shared)
        shared.refused_at = shared.named_full_at = shared.strict_until = 0
    shared.configured[source] = limits


def lift(shared: ApiState) -> None:
    """End the pause. If it followed a refusal, one request still tries first."""
    shared.pause = shared.hinted = 0


def refute(shared: ApiState, limits: Sequence[int]) -> None:
    """Drop limits that headers named and that later answers refuted."""
    if limits:
        shared.told = WHOLE
        shared.found = [tier for tier in shared.found if tier[0] not in limits]


def correct(shared: ApiState, ask: ExchangeRequest) -> None:
    """Take in what an ask says of that kind."""
    if ask.source:
        configure(shared, ask.source, ask.tiers, ask.concurrent)
    if ask.lift:
        lift(shared)
    refute(shared, ask.refuted)
