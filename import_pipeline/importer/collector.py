"""Python's collector of cyclic garbage during an import: it looks less often.

By default it walks all objects of the process again and again: modules, mappers, Dagster. An import makes many rows and
requests and few cycles, so a tenth of its CPU time found nothing.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: New objects between two looks; Python's default is 700. Cycles that wait for one take a few MB.
YOUNG_OBJECTS = 10_000


@contextmanager
def collecting_less() -> Iterator[None]:
    """Look for cyclic garbage less often within the block.

    Nothing changes if the program looks less often already, or not at all.
    """
    young, *older = gc.get_threshold()
    if not 0 < young < YOUNG_OBJECTS:  # 0: the program has switched it off
        yield
        return
    gc.set_threshold(YOUNG_OBJECTS, *older)
    try:
        yield
    finally:
        gc.set_threshold(young, *older)
