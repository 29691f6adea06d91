"""A rerun: a new job from the spec of one that is there, with the same input or another. It says where it came from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from scriptfleet.domain import check
from scriptfleet.domain.job import JobSpec
from scriptfleet.domain.kinds import PYTHON_FUNCTION
from scriptfleet.errors import InvalidValue, JobNotFound
from scriptfleet.queues.connection import told_plainly
from scriptfleet.queues.drafts import fields_of
from scriptfleet.queues.signing import is_genuine

if TYPE_CHECKING:
    from scriptfleet.queues.client import Broker

#: Options that are laid over what the spec says, so that one variable or limit can be changed alone.
_LAID_OVER = ("env", "labels", "limits", "retry", "isolation")


def spec_in(broker: "Broker", job_id: str) -> JobSpec:
    """Give the spec of a job that the broker knows. Raises JobNotFound, BrokerUnreachable, and as ``genuine``."""
    with told_plainly(broker.url):
        spec, signature = broker.redis.hmget(broker.keys("job", job_id), "spec", "sig")
    if spec is None:
        raise JobNotFound(job_id)
    text, signed = (part.decode(errors="replace") for part in (spec, signature or b""))
    return genuine(broker.settings.signing_key, job_id, text, signed)


def genuine(key: str, job_id: str, spec: str, signature: str) -> JobSpec:
    """Read a spec that is to be signed again. Raises InvalidValue when it was not signed with this key.

    Else whoever can write to the broker could have a spec of theirs signed.
    """
    if not is_genuine(key, job_id, spec, signature):
        raise InvalidValue("signature", signature or "none", f"one of job {job_id} made with this fleet's signing key")
    return JobSpec.from_json(spec)


class KeptSpec(Protocol):
    """How a job was submitted, as a store has it; None where it has not seen that."""

    @property
    def spec(self) -> str | None:
        """The spec's text."""

    @property
    def signature(self) -> str | None:
        """Its signature."""

    @property
    def is_whole(self) -> bool | None:
        """Whether the text is the very one that was submitted, with no secret taken out of it."""


def kept_in_store(key: str, job_id: str, kept: KeptSpec) -> JobSpec:
    """Give the spec of a job that the broker has let go. Raises InvalidValue for one that cannot be submitted again."""
    if kept.spec is None:
        raise InvalidValue("job", job_id, "one whose submit the store has seen")
    if not kept.is_whole:
        what = "one without secrets in its variables or settings: of this one the store kept *** in their place"
        raise InvalidValue("job", job_id, f"{what}: submit it anew, with names of secrets for them")
    return genuine(key, job_id, kept.spec, kept.signature or "")


def again(spec: JobSpec, job_id: str, changes: Mapping[str, Any]) -> JobSpec:
    """Give the spec of a new job from that of ``job_id``. Raises InvalidValue.

    ``changes`` are the options of a submit, and ``args`` and, for a function, ``kwargs``. ``env``, ``labels``,
    ``limits``, ``retry`` and ``isolation`` given as mappings change what they name and leave the rest. What held for
    the one submit alone is gone unless it is given again: idempotency key, schedule, and the moments to start.
    """
    options = dict(changes)
    config = _config(spec, options)
    args = options.pop("args", None) if spec.kind != PYTHON_FUNCTION else None
    fields = fields_of(laid_over(spec, options))
    cleared = {"idempotency_key": None, "schedule": None, "not_before": None, "expires_at": None}
    if args is not None:
        fields["args"] = check.strings("args", args)
    return replace(spec, **{**cleared, **fields, "config": config, "rerun_of": job_id})


def laid_over(spec: JobSpec, options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options of a submit so that env, labels, limits, retry and isolation change what they name alone."""
    options = dict(options)
    before = spec.to_dict()
    if isinstance(options.get("retry"), int):
        # So many more attempts, by the rest of the policy as it is.
        options["retry"] = {"max_attempts": check.integer("retry", options["retry"], 0, 999) + 1}
    laid = {
        name: {**before.get(name, {}), **options[name]} for name in _LAID_OVER if isinstance(options.get(name), Mapping)
    }
    return {**options, **laid}


def rerun_of(spec: str | None) -> str | None:
    """Give the job that a spec's text says it came from; None for none, also where the text cannot be read."""
    # Most texts need not be read as a whole.
    if not spec or '"rerun_of"' not in spec:
        return None
    try:
        found = json.loads(spec).get("rerun_of")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _config(spec: JobSpec, options: dict[str, Any]) -> dict[str, Any]:
    """Give the spec's config; a function has its arguments there."""
    if spec.kind != PYTHON_FUNCTION:
        if "kwargs" in options:
            raise InvalidValue("kwargs", options["kwargs"], f"none: a job of kind {spec.kind} has no use for them")
        return spec.config
    given: dict[str, Any] = {}
    if (args := options.pop("args", None)) is not None:
        if isinstance(args, str) or not isinstance(args, Sequence):
            raise InvalidValue("args", args, "a list")
        given["args"] = list(args)
    if (kwargs := options.pop("kwargs", None)) is not None:
        given["kwargs"] = check.mapping("kwargs", kwargs)
    return {**spec.config, **given}
