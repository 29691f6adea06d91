"""The command line by which bubblewrap makes the same mounts."""

from collections.abc import Sequence

from scriptfleet.execution.isolation.mounts import Step


def wrapped(program: str, argv: Sequence[str], cwd: str, steps: Sequence[Step], no_network: bool) -> list[str]:
    """Give the command that runs ``argv`` inside."""
    is_all_fixed = any(kind == "read_only" and path == "/" for kind, path, _ in steps)
    # A read-only bind takes away the use of devices, which is not what is meant.
    options = ["--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev"] if is_all_fixed else ["--dev-bind", "/", "/"]
    for kind, path, detail in steps:
        if path != "/":
            options += _options(kind, path, detail)
    if no_network:
        options.append("--unshare-net")
    return [program, *options, "--chdir", cwd, "--", *argv]


def _options(kind: str, path: str, detail: str) -> list[str]:
    if kind == "read_only":
        return ["--ro-bind", path, path]
    if kind == "keep":
        return ["--bind", path, path]
    given = dict(item.split("=") for item in detail.split(","))
    size = ["--size", given["size"]] if "size" in given else []
    return ["--perms", given["mode"].zfill(4), *size, "--tmpfs", path]
