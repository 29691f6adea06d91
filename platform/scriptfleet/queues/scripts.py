"""The Lua scripts, loaded from queues/lua and called by name. Each is atomic; the shared parts are put before each."""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

import redis

from scriptfleet.queues.keys import Keys

NAMES = (
    *("submit", "claim", "next", "reassert", "finish", "renew", "cancel", "tick", "show", "presence"),
    *("pause", "purge", "epoch", "restore", "hand_back", "stuck", "revive", "load"),
    "delayed",
)
#: What all of them share, each part resting on those before it.
PARTS = ("job", "lanes", "gates", "placement", "admission", "moves")


def source_of(name: str) -> str:
    """Give a script's whole text: its flags, the shared parts, its own part."""
    folder = files("scriptfleet.queues") / "lua"
    flags, _, own = (folder / f"{name}.lua").read_text().partition("\n")
    shared = "\n".join((folder / f"{part}.lua").read_text() for part in PARTS)
    return f"{flags}\n{shared}\n{own}"


#: A script's name and its arguments.
Call = tuple[str, Sequence[str | int | float | bytes]]


class Scripts:
    """Calls scripts by their digest; sends the text only when the server does not have it."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client, self._prefix = client, keys.prefix
        self._sources = {name: source_of(name) for name in NAMES}
        self._digests = {
            name: sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in self._sources.items()
        }

    def call(self, name: str, *arguments: str | int | float | bytes) -> Any:
        """Run a script and give its answer."""
        try:
            return self._client.execute_command("EVALSHA", self._digests[name], 1, self._prefix, *arguments)
        except redis.exceptions.NoScriptError:
            return self._client.eval(self._sources[name], 1, self._prefix, *arguments)

    def call_both(self, first: Call, second: Call) -> tuple[Any, Any]:
        """Run two scripts one after the other on one way to the server; give the answer of each, or its RedisError.

        Raises RedisError when neither can have an answer.
        """
        with self._client.pipeline(transaction=False) as pipeline:
            for name, arguments in (first, second):
                pipeline.execute_command("EVALSHA", self._digests[name], 1, self._prefix, *arguments)
            answers = pipeline.execute(raise_on_error=False)
        one, other = (
            self.call(name, *arguments) if isinstance(answer, redis.exceptions.NoScriptError) else answer
            for (name, arguments), answer in zip((first, second), answers, strict=True)
        )
        return one, other

    def call_confirmed(self, name: str, replicas: int, within_ms: int, *arguments: str | int | float | bytes) -> Any:
        """Run a script that is safe to repeat, then wait until so many replicas have what it wrote.

        Gives its answer, and how many replicas have it when ``within_ms`` is over, or as soon as they are enough.
        """
        digest = self._digests[name]
        try:
            return self._confirmed(replicas, within_ms, "EVALSHA", digest, 1, self._prefix, *arguments)
        except redis.exceptions.NoScriptError:
            return self._confirmed(replicas, within_ms, "EVAL", self._sources[name], 1, self._prefix, *arguments)

    def _confirmed(self, replicas: int, within_ms: int, *command: str | int | float | bytes) -> Any:
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command(*command)
            # The server waits for what this connection wrote last: a script that found all done already wrote nothing.
            pipeline.set(f"{self._prefix}confirmed", "1")
            pipeline.execute_command("WAIT", replicas, within_ms)
            answer, _, confirmed = pipeline.execute()
        return answer, int(confirmed)
