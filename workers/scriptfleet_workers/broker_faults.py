"""What a fault of the broker means for who waits."""

from typing import Final

import redis

#: The broker's faults that another try may not meet: it is away, restarting, full, or read-only after a failover.
PASSING: Final = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError)
#: First words of plain answers that say how the server is, not that the command is wrong.
_STATES: Final = ("OOM ", "MISCONF ", "NOREPLICAS ", "BUSY ", "UNKILLABLE ", "MASTERDOWN ")


def is_full(fault: Exception) -> bool:
    """Tell whether the server refused a write because it has reached its limit of memory."""
    return isinstance(fault, redis.exceptions.OutOfMemoryError) or (
        isinstance(fault, redis.ResponseError) and str(fault).startswith("OOM ")
    )


def is_refusal(fault: redis.RedisError) -> bool:
    """Tell whether the server will never take this command: its answer says that the command itself is wrong."""
    # States that the library knows have classes of their own, such as ReadOnlyError.
    return type(fault) is redis.ResponseError and not str(fault).startswith(_STATES)
