"""What was learned of a server is a part of tiers' amounts, so it counts for those tiers only.

Processes may be configured differently, and limits that were wrong are corrected: then nothing is known yet.
Pure, on the shared state. `lua/` does the same in Redis.
"""

from collections.abc import Sequence

from import_pipeline.ratelimit.algorithm.state import WHOLE, ApiState

KEPT = 4  #: other tiers whose lessons are kept
NOTHING = [WHOLE, WHOLE, 0]  #: learned, told, told_at


def select_profile(shared: ApiState, tiers: Sequence[tuple[int, int]]) -> None:
    """What is known is about these configured tiers from now on; what is known about others is kept aside."""
    name = ",".join(f"{amount}/{window}" for amount, window in tiers)
    if name == shared.lessons_of:
        return
    aside = shared.set_aside | {shared.lessons_of: [shared.learned, shared.told, shared.told_at]}
    shared.learned, shared.told, shared.told_at = aside.pop(name, NOTHING)
    shared.lessons_of, shared.set_aside = name, dict(list(aside.items())[-KEPT:])
