"""The garbage collector of a service that takes much data in and holds little of it.

A batch of events makes some ten thousand objects, which all go when it is stored. With Python's own settings the
collector goes through them every 700 of them, and every few batches through all that the process has loaded: half of
the time that the ingest takes.
"""

import gc
from typing import Final

#: So many more objects than went before the collector looks at the youngest: more than a batch has, a few MiB of them.
_YOUNG_OBJECTS: Final = 50_000


def settle_heap() -> None:
    """Have the collector pass over what is loaded by now, and look at the rest less often. Call it once all is."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
