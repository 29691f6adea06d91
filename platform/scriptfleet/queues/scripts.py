"""The Lua scripts, loaded from queues/lua and called by name. Each is atomic; the shared parts are put before each."""

from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, Final

import redis

from scriptfleet.queues.kept_connections import KeptConnections
from scriptfleet.queues.keys import Keys

NAMES = (
    *("submit", "claim", "next", "reassert", "finish", "finish_next", "renew", "cancel", "tick", "show", "presence"),
    *("pause", "purge", "epoch", "restore", "hand_back", "stuck", "revive", "load"),
    *("delayed", "due", "bury"),
)
#: These read or write a key or two: they share the first part alone.
_PLAIN: Final = frozenset({"show", "epoch", "revive", "bury", "load", "delayed"})
#: What the others share, each part resting on those before it.
_SHARED: Final = ("job", "lanes", "admission", *(_LAZY := ("gates", "placement", "line", "spent")), "moves")
#: What some of them need beside it.
_MORE: Final = {
    **dict.fromkeys(("restore", "reassert"), ("writing",)),
    "submit": ("writing", "fullness"),
    "presence": ("workers", "fullness"),
    "tick": ("workers", "holders"),
}
#: Whole scripts that stand in another as functions of their arguments, by the functions' names.
_INSIDE: Final = {"finish_next": {"finish": "finish", "take_next": "next"}}


@cache
def source_of(name: str) -> str:
    """Give a script's whole text: its flags, the parts that it shares with others, its own part."""
    flags, _, own = _text(name).partition("\n")
    if name in _PLAIN:
        return "\n".join((flags, _text("job"), own))
    shared = [_made_on_demand(part) if part in _LAZY else _text(part) for part in _SHARED]
    more = [_text(part) for part in _MORE.get(name, ())]
    inside = [_made_function(function, script) for function, script in _INSIDE.get(name, {}).items()]
    return "\n".join((flags, f"local {', '.join(_LAZY)}", *shared, *more, *inside, own))


@cache
def _digest_of(name: str) -> str:
    return sha1(source_of(name).encode(), usedforsecurity=False).hexdigest()


@cache
def _text(name: str) -> str:
    return (files("scriptfleet.queues") / "lua" / f"{name}.lua").read_text()


def _made_on_demand(part: str) -> str:
    """Wrap a part so that ``part()`` gives what it returns, and makes it when first called.

    A server makes every function of a script anew for each call, which takes it longer than most calls' own work; jobs
    that ask for nothing need a third of them.
    """
    made = f"made_{part}"
    return f"local {made}\n{part} = function()\n{made} = {made} or (function()\n{_text(part)}end)()\nreturn {made}\nend"


def _made_function(function: str, script: str) -> str:
    return f"local function {function}(ARGV)\n{_text(script).partition(chr(10))[2]}end"


class Scripts:
    """Calls scripts by their digest; sends the text only when the server does not have it."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client, self._prefix, self._kept = client, keys.prefix, KeptConnections(client)
        self._digests = {name: _digest_of(name) for name in NAMES}

    def call(self, name: str, *arguments: str | int | float | bytes) -> Any:
        """Run a script and give its answer."""
        try:
            return self._client.execute_command("EVALSHA", self._digests[name], 1, self._prefix, *arguments)
        except redis.exceptions.NoScriptError:
            return self._client.eval(source_of(name), 1, self._prefix, *arguments)

    def call_kept(self, name: str, *arguments: str | int | float | bytes) -> Any:
        """Run a script that is called many hundred times a second, by a connection kept for that, and give its answer.

        Nothing is repeated: where an error of the connection is raised, it may have been run.
        """
        (answer,) = self._kept.exchange([("EVALSHA", self._digests[name], 1, self._prefix, *arguments)])
        if isinstance(answer, redis.exceptions.NoScriptError):
            return self.call(name, *arguments)
        if isinstance(answer, redis.RedisError):
            raise answer
        return answer

    def call_confirmed(self, name: str, replicas: int, within_ms: int, *arguments: str | int | float | bytes) -> Any:
        """Run a script that is safe to repeat, then wait until so many replicas have what it wrote.

        Gives its answer, and how many replicas have it when ``within_ms`` is over, or as soon as they are enough.
        """
        digest = self._digests[name]
        try:
            return self._confirmed(replicas, within_ms, "EVALSHA", digest, 1, self._prefix, *arguments)
        except redis.exceptions.NoScriptError:
            return self._confirmed(replicas, within_ms, "EVAL", source_of(name), 1, self._prefix, *arguments)

    def _confirmed(self, replicas: int, within_ms: int, *command: str | int | float | bytes) -> Any:
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command(*command)
            # The server waits for what this connection wrote last: a script that found all done already wrote nothing.
            pipeline.set(f"{self._prefix}confirmed", "1")
            pipeline.execute_command("WAIT", replicas, within_ms)
            answer, _, confirmed = pipeline.execute()
        return answer, int(confirmed)
