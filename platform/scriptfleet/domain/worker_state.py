"""How a worker stands: whether it takes jobs, and why not."""

from enum import StrEnum


class WorkerState(StrEnum):
    """What a worker says of itself. It takes jobs while it is ready, and at no other time."""

    READY = "ready"
    #: Its machine is busier than its settings allow; it goes on by itself.
    THROTTLED = "throttled"
    #: Told to take no new job until it is told otherwise; what runs goes on.
    CORDONED = "cordoned"
    #: On its way out: what runs may finish, for a while.
    DRAINING = "draining"
    #: Alive, with room for a job, and yet no message reaches it.
    DEAF = "deaf"
