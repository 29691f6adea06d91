"""What is a secret by its name, and how it and its value are hidden. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

#: As in bytes (mask_stream.py).
HIDDEN: Final = "***"
#: A shorter value would be found everywhere.
SHORTEST: Final = 4
#: Levels of nested data that are looked through.
_DEEPEST: Final = 200

_PASSWORD_IN_ADDRESS: Final = r"(://[^/@\s:]*:)[^/@\s]+@"  # noqa: S105
_PREFIXES: Final = ("SECRET_", "TOKEN_", "PASSWORD_", "PASSWD_", "PASSPHRASE_", "CREDENTIAL_", "CREDENTIALS_")
_SUFFIXES: Final = (*(f"_{word.rstrip('_')}" for word in _PREFIXES), "_KEY", "_PWD", "_PASS", "_PAT", "_AUTH")
_WHOLE: Final = frozenset(word.rstrip("_") for word in _PREFIXES) | {
    *("APIKEY", "API_KEY", "AUTHORIZATION", "PROXY_AUTHORIZATION", "COOKIE", "PGPASSWORD", "PASS"),
}

#: One of these is in every text that has something to hide; the last hides what an escape stands for.
_TELLING: Final = ("SECRET", "TOKEN", "PASS", "CREDENTIAL", "KEY", "PWD", "_PAT", "AUTH", "COOKIE", "://", "\\U")


def is_secret_name(name: str, more_prefixes: Sequence[str] = ()) -> bool:
    """Tell whether what bears this name is likely a secret: TOKEN_X, X_PASSWORD, x-api-key; case does not count.

    ``more_prefixes`` are further beginnings of such names, in capitals.
    """
    word = name.upper().replace("-", "_")
    return word in _WHOLE or word.startswith((*_PREFIXES, *more_prefixes)) or word.endswith(_SUFFIXES)


def has_password(value: str) -> bool:
    """Tell whether a text holds an address with a password in it, such as redis://user:password@host."""
    return "://" in value and re.search(_PASSWORD_IN_ADDRESS, value) is not None


def shown_spec(plain: Mapping[str, Any], more_prefixes: Sequence[str] = ()) -> dict[str, Any]:
    """Give a spec's plain form as it may be shown and kept: secrets in its variables and settings are ``***``."""
    hidden = {name: without_secrets(plain[name], more_prefixes) for name in ("env", "config") if name in plain}
    return {**plain, **hidden}


def may_hold_secret(text: str, more_prefixes: Sequence[str] = ()) -> bool:
    """Tell whether a spec's JSON text could hold what shown_spec() hides; quick, and often true in vain."""
    word = text.upper().replace("-", "_")
    return any(part in word for part in (*_TELLING, *more_prefixes))


def without_secrets(value: object, more_prefixes: Sequence[str] = ()) -> Any:
    """Give data with texts under secret-looking names, and passwords in addresses, as ``***``, at any depth."""
    if isinstance(value, Mapping):
        return {
            name: HIDDEN
            if isinstance(item, str) and is_secret_name(str(name), more_prefixes)
            else without_secrets(item, more_prefixes)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(item, more_prefixes) for item in value]
    return re.sub(_PASSWORD_IN_ADDRESS, rf"\1{HIDDEN}@", value) if isinstance(value, str) else value


def patterns(values: Iterable[str]) -> tuple[bytes, ...]:
    """Give the forms in which secrets are recognised in bytes: plain, base64 at any place of a larger text, hex, …

    Values of less than four characters are left out: hiding them would hide half of every text.
    """
    hidden = [value for value in values if len(value.strip()) >= SHORTEST]
    if not hidden:
        return ()
    # Few runs have secrets.
    from scriptfleet.domain.mask_forms import forms_of  # noqa: PLC0415

    found = dict.fromkeys(form for value in hidden for form in forms_of(value))
    return tuple(one for one in found if len(one) >= SHORTEST)


def mask_text(text: str, hidden: Sequence[bytes]) -> str:
    """Give a text with every pattern in it replaced by ``***``."""
    if not hidden:
        return text
    # Few runs have secrets.
    from scriptfleet.domain.mask_stream import MaskStream  # noqa: PLC0415

    content = text.encode("utf-8", "surrogatepass")
    return MaskStream(hidden).feed(content, is_last=True).decode("utf-8", "surrogatepass")


def mask_data(value: object, hidden: Sequence[bytes], deepest: int = _DEEPEST) -> Any:
    """Give JSON data with every pattern in its texts and names replaced by ``***``, and so what lies too deep."""
    if not hidden:
        return value
    if isinstance(value, str):
        return mask_text(value, hidden)
    if not isinstance(value, Mapping | list | tuple):
        return _masked_number(value, hidden)
    if not deepest:
        return HIDDEN
    if isinstance(value, Mapping):
        return {mask_text(str(name), hidden): mask_data(item, hidden, deepest - 1) for name, item in value.items()}
    return [mask_data(item, hidden, deepest - 1) for item in value]


def _masked_number(value: object, hidden: Sequence[bytes]) -> object:
    # A numeric secret, such as a PIN, may have become a number on its way.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    shown = str(value)
    return value if mask_text(shown, hidden) == shown else HIDDEN
