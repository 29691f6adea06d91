"""How a process's arguments are shown: on one line, bounded, harmless, without secrets."""

import re
from collections.abc import Sequence
from typing import Final

from scriptfleet.domain.mask_stream import MaskStream
from scriptfleet.domain.masking import HIDDEN, is_secret_name, mask_text, without_secrets
from scriptfleet.domain.process_tree import LONGEST_COMMAND
from scriptfleet.domain.terminal_text import clean_line
from scriptfleet.execution.monitor.tree import ProcessFacts

#: ``--password=x``, ``TOKEN=x`` and ``--password x``; each word is begun once.
_ASSIGNED: Final = re.compile(r"(?<![\w-])(-{0,2}[A-Za-z_][\w-]*)(=)(\"[^\"]*\"|'[^']*'|\S+)")
_FOLLOWED: Final = re.compile(r"(?<![\w-])(--?[A-Za-z_][\w-]*)( )(?!-)(\S+)")


def shown_command(facts: ProcessFacts, masks: Sequence[bytes]) -> str:
    """Give what a process was started as on one line, cut, without the secrets and without what looks like one.

    A secret may lie across the place where the system's answer was cut, be spread over two arguments, or have control
    characters in it: it is looked for before these go and after.
    """
    said = facts.arguments.rstrip(b"\0").replace(b"\0", b" ")
    is_whole = not facts.is_cut
    if not said.strip():
        said, is_whole = b"[" + facts.name + b"]", True
    hidden = MaskStream(masks).feed(said, is_last=is_whole) if masks else said
    line = without_secrets(clean_line(hidden.decode("utf-8", "replace")))
    line = mask_text(_FOLLOWED.sub(_hide, _ASSIGNED.sub(_hide, line)), masks)
    return clean_line(line, LONGEST_COMMAND) or "?"


def _hide(found: re.Match[str]) -> str:
    name, between, _ = found.groups()
    return f"{name}{between}{HIDDEN}" if is_secret_name(name.lstrip("-")) else found[0]
