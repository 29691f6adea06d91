"""Hides what looks like a secret in a script's text. Pure.

A script's author can write a secret in more ways than can be known: this hides the usual ones, and is no reason to
write one into a script. Each pattern begins where a word does, so a text of any kind takes time by its length alone.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from scriptfleet.domain.masking import HIDDEN, is_secret_name, without_secrets

_NAME: Final = r"(?<![\w-])(?P<name>[A-Za-z_][\w-]{0,80})"
#: Each has what stays before a secret as ``head``, and the name that tells whether it is one.
_NAMED: Final = tuple(
    re.compile(pattern)
    for pattern in (
        # name = "…", name: str = "…", "name": "…", os.environ["NAME"] = "…"
        rf"""(?P<head>{_NAME}["']?\]?\s{{0,9}}(?::\s{{0,9}}[\w.]{{1,40}}\s{{0,9}}=|:=|[=:])\s{{0,9}}[bfru]{{0,2}}"""
        r"""(?P<quote>"|'))(?:\\.|(?!(?P=quote))[^\n\\])+(?=(?P=quote))""",
        # NAME=… of a shell
        rf"""(?P<head>{_NAME}=)[^\s"'`$;&|(){{}}\[\],<>]+(?=[\s;&|]|\Z)""",
        # -H "X-Api-Key: …"
        rf"""(?P<head>(?<=["']){_NAME}:\s?)[^"'\n]+(?=["'])""",
        # --token … and --token=…
        r"""(?P<head>(?<!\S)--(?P<name>[A-Za-z][\w-]{0,80})[= ])[^\s"'$-][^\s"']*""",
    )
)
#: What is a secret by its own form.
_FORMS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<head>(?i:\bauthorization:\s?(?:basic|bearer|token)\s))[^\s\"']+",
        r"(?P<head>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)[^-]+",
        r"(?P<head>)\b(?:AKIA[0-9A-Z]{16}|gh[a-z]_\w{20,}|xox[a-z]-[\w-]{10,}|sk-[\w-]{20,})",
    )
)


def masked_source(text: str, more_prefixes: Sequence[str] = ()) -> str:
    """Give a script's text with ``***`` for values under secret-looking names, keys, and passwords in addresses."""

    def hide_named(found: re.Match[str]) -> str:
        is_secret = is_secret_name(found["name"], more_prefixes)
        return found["head"] + HIDDEN if is_secret else found[0]

    for pattern in _NAMED:
        text = pattern.sub(hide_named, text)
    for pattern in _FORMS:
        text = pattern.sub(rf"\g<head>{HIDDEN}", text)
    shown: Any = without_secrets(text)
    return str(shown)
