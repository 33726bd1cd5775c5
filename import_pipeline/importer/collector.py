"""Python's collector of cyclic garbage during an import: it looks at what the import makes, and less often.

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
    """Leave out the objects that exist already within the block, and look at new ones less often.

    Nothing changes if the program, or an import in another thread, has frozen objects itself.
    """
    if gc.get_freeze_count():
        yield
        return
    young, *older = gc.get_threshold()
    gc.freeze()
    if 0 < young < YOUNG_OBJECTS:  # 0: the program has switched it off
        gc.set_threshold(YOUNG_OBJECTS, *older)
    try:
        yield
    finally:
        gc.set_threshold(young, *older)
        gc.unfreeze()
