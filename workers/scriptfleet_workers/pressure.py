"""What a worker leaves out or keeps to itself while the broker is nearly full. Outcomes are never among it."""

import logging
from typing import Final

log = logging.getLogger("scriptfleet.worker")

#: From so much of the broker's memory limit on, percent, readings and curves of runs are left out.
SAMPLES_PERCENT: Final = 75
#: From here on output stays on this worker's disk until there is room. Submits are refused from 90 on: lua/submit.lua.
OUTPUT_PERCENT: Final = 80


class Pressure:
    """How full the broker was at the last sign of life."""

    def __init__(self) -> None:
        #: Percent of its memory limit; 0 without a limit.
        self.fullness = 0

    def note(self, fullness: int) -> None:
        """Note it, and say so when what follows from it changes."""
        before = (self.drops_samples(), self.keeps_output())
        self.fullness = fullness
        if (self.drops_samples(), self.keeps_output()) != before:
            said = (fullness, not self.drops_samples(), self.keeps_output())
            log.warning("broker_memory percent=%d samples_sent=%s output_kept_here=%s", *said)

    def drops_samples(self) -> bool:
        """Tell whether readings and curves are left out."""
        return self.fullness >= SAMPLES_PERCENT

    def keeps_output(self) -> bool:
        """Tell whether output stays here."""
        return self.fullness >= OUTPUT_PERCENT
