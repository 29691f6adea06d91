"""Hides what looks like a secret in a script's text. Pure.

A script's author can write a secret in more ways than can be known: this hides the usual ones, and is no reason to
write one into a script. Each pattern begins where a word does and none fails at the end of a long one, so a text of any
kind takes time by its length alone.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from scriptfleet.domain.masking import HIDDEN, is_secret_name, without_secrets

_NAME: Final = r"(?<![\w-])(?P<name>[A-Za-z_][\w-]{0,80})"
#: name = …, name: str = …, "name": …, os.environ["NAME"] = …, and $env:NAME = … of PowerShell; then b, f, r or u.
_GIVEN: Final = (
    rf"""(?P<head>{_NAME}["']?\]?\s{{0,9}}"""
    r"""(?::\s{0,9}(?P<other>[\w.]{1,40})\s{0,9}=|:=|[=:])\s{0,9}[bfru]{0,2}"""
)
#: Each has what stays before a secret as ``head``, and the name that tells whether it is one.
_NAMED: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"""{_GIVEN}(?P<quote>\"\"\"|\'\'\'))(?:\\[\s\S]|(?!(?P=quote))[^\\])+(?=(?P=quote))""",
        rf"""{_GIVEN}(?P<quote>"|'))(?:\\.|(?!(?P=quote))[^\n\\])+(?=(?P=quote))""",
        # -H "X-Api-Key: …"
        rf"""(?P<head>(?<=["']){_NAME}:\s?)[^"'\n]+(?=["'])""",
        # --token … and --token=…
        r"""(?P<head>(?<!\S)--(?P<name>[A-Za-z][\w-]{0,80})[= ])[^\s"'$-][^\s"']*""",
    )
)
#: NAME=… of a shell: a word, in which a name may stand anywhere, as in an address; and what ends a word.
_WORD: Final = re.compile(r"""[^\s"'`$;&|(){}\[\],<>]+""")
_ASSIGNED: Final = re.compile(rf"{_NAME}=(?!\Z)")
_AFTER_WORD: Final = re.compile(r"[\s;&|]|\Z")
#: What is a secret by its own form.
_FORMS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<head>(?i:\bauthorization:\s?(?:basic|bearer|token)\s))[^\s\"']+",
        r"(?P<head>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?:[^-]|-(?!----))+",
        r"(?P<head>)\b(?:AKIA[0-9A-Z]{16}|gh[a-z]_\w{20,}|xox[a-z]-[\w-]{10,}|sk-[\w-]{20,})",
    )
)


def masked_source(text: str, more_prefixes: Sequence[str] = ()) -> str:
    """Give a script's text with ``***`` for values under secret-looking names, keys, and passwords in addresses."""

    def is_secret(found: re.Match[str], *names: str) -> bool:
        return any(is_secret_name(found[name] or "", more_prefixes) for name in names)

    def hide_named(found: re.Match[str]) -> str:
        names = ("name", "other") if "other" in found.re.groupindex else ("name",)
        return found["head"] + HIDDEN if is_secret(found, *names) else found[0]

    def hide_assigned(word: re.Match[str]) -> str:
        if not _AFTER_WORD.match(word.string, word.end()):
            return word[0]
        ends = (found.end() for found in _ASSIGNED.finditer(word[0]) if is_secret(found, "name"))
        end = next(ends, None)
        return word[0] if end is None else word[0][:end] + HIDDEN

    text = _WORD.sub(hide_assigned, text)
    for pattern in _NAMED:
        text = pattern.sub(hide_named, text)
    for pattern in _FORMS:
        text = pattern.sub(rf"\g<head>{HIDDEN}", text)
    shown: Any = without_secrets(text)
    return str(shown)
