"""What the server itself says that scripts cost it."""

from collections.abc import Callable

import redis


def script_us(client: redis.Redis, action: Callable[[], object], count: int) -> float:
    """Give microseconds by the server's command statistics that all scripts took while the action ran, over ``count``.

    Nothing else may call scripts meanwhile.
    """
    client.config_resetstat()
    action()
    said = client.info("commandstats")
    return sum(float(said[name]["usec"]) for name in said if name.startswith("cmdstat_eval")) / count
