"""Signatures of specs and orders. Who can write to the broker can run code; with a key, only who knows the key can."""

import hashlib
import hmac


def sign(key: str, job_id: str, spec: str) -> str:
    """Sign a spec as the one of this job; empty without a key."""
    return seal(key, job_id, spec)


def is_genuine(key: str, job_id: str, spec: str, signature: str) -> bool:
    """Tell whether the signature fits; without a key every spec is taken."""
    return is_sealed(key, signature, job_id, spec)


def seal(key: str, *parts: str) -> str:
    """Sign parts, the last of which may have any characters and the others no line feed; empty without a key."""
    if not key:
        return ""
    return hmac.new(key.encode(), "\n".join(parts).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def is_sealed(key: str, signature: str, *parts: str) -> bool:
    """Tell whether the signature is that of the parts; without a key every one is."""
    # As bytes: a signature that is not ASCII is to be refused, not to be an error.
    given = signature.encode("utf-8", "surrogatepass")
    return not key or hmac.compare_digest(seal(key, *parts).encode(), given)
