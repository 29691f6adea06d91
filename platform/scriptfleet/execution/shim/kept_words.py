"""What a command says to an interpreter that is kept, first of all, each on a connection of its own."""

from __future__ import annotations

#: Of equal length; the number is that of this protocol.
RUN = b"sf1 run."
ASK = b"sf1 ask."
STOP = b"sf1 stop"
