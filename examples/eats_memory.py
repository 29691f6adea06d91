"""Holds memory: `eats_memory.py MIB SECONDS` (96 and 1 unless said), every page of it touched.

Look at peak memory: at least what was asked for. With --memory below it the outcome is out_of_memory.
"""

import sys
import time

mib = int(sys.argv[1]) if len(sys.argv) > 1 else 96
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0

held = bytearray()
while len(held) < mib * 1024 * 1024:
    held += b"\1" * (8 * 1024 * 1024)
print(f"holding {len(held) // (1024 * 1024)} MiB for {seconds:g} s", flush=True)
time.sleep(seconds)
