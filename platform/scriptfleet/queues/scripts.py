"""The Lua scripts, loaded from queues/lua and called by name. Each is atomic; common.lua is put before each."""

from hashlib import sha1
from importlib.resources import files
from typing import Any

import redis

from scriptfleet.queues.keys import Keys

NAMES = (
    "submit",
    "claim",
    "next",
    "reassert",
    "finish",
    "renew",
    "cancel",
    "tick",
    "show",
    "presence",
    "epoch",
    "restore",
    "hand_back",
)


def source_of(name: str) -> str:
    """Give a script's whole text: its flags, the common part, its own part."""
    folder = files("scriptfleet.queues") / "lua"
    common, own = (folder / "common.lua").read_text(), (folder / f"{name}.lua").read_text()
    flags, _, rest = own.partition("\n")
    return f"{flags}\n{common}\n{rest}"


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
            return self._client.evalsha(self._digests[name], 1, self._prefix, *arguments)
        except redis.exceptions.NoScriptError:
            return self._client.eval(self._sources[name], 1, self._prefix, *arguments)
