"""Sleeps: `sleeps.py SECONDS` (60 unless said), saying so every second.

Look at the outcome with --timeout: timed_out, and what it printed until then. Its CPU seconds stay near nothing.
"""

import sys
import time

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
end = time.monotonic() + seconds
while (left := end - time.monotonic()) > 0:
    print(f"{left:.0f} s to go", flush=True)
    time.sleep(min(left, 1.0))
