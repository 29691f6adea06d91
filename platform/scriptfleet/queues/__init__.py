"""How jobs go out and facts come back: the broker's keys, its Lua, messages, blobs, the Client. Needs Redis alone."""
