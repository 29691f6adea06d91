"""What a script says back to the fleet that runs it: measures, progress, files worth keeping.

    from scriptfleet import report        # or: import scriptfleet_report as report
    report.metric("rows", 120)
    report.progress(0.4, "loading")
    report.artifact("plot.png")

One file, standard library alone, any Python from 3.6 on. Each call appends one line of JSON to the file named by
SCRIPTFLEET_REPORT_FILE; any language may append the same lines. Outside a run the variable is not set and the calls do
nothing, so a script runs unchanged at a desk. Reporting never ends a script: what cannot be (a measure that is no
finite number, say) is left out by the fleet and named in the run's record; what cannot be written is a warning.
"""

import json
import os
import warnings


def metric(name: str, value: float) -> None:
    """Report a number; it is stored as ``custom.NAME`` with the run. Of one name the last value counts.

    NAME is text of at most 128 characters. ``value`` is anything that ``float()`` takes.
    """
    _append({"metric": {"name": str(name), "value": _number(value)}})


def progress(fraction: float, message: "str | None" = None) -> None:
    """Report how far the script is, from 0.0 to 1.0, and what it is doing; shown while it runs."""
    said = {"fraction": _number(fraction)}
    if message is not None:
        said["message"] = str(message)
    _append({"progress": said})


def artifact(path: "str | os.PathLike[str]", name: "str | None" = None) -> None:
    """Name a file in the run's folder that is to be kept, as it is when the run ends.

    ``name`` is what it is kept as, else the last part of its path. At most 10 MiB a file and 50 MiB a run are kept.
    """
    place = os.path.abspath(os.fspath(path))
    _append({"artifact": {"path": place, "name": os.path.basename(place) if name is None else str(name)}})


def _number(value: object) -> "float | str":
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        # Refused by its reader, who says so in the run's record.
        return str(value)


def _append(what: object) -> None:
    place = os.environ.get("SCRIPTFLEET_REPORT_FILE")
    if not place:
        return
    line = json.dumps(what).encode() + b"\n"
    try:
        # Appended in one write, so that lines of several processes never mix.
        out = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(out, line)
        finally:
            os.close(out)
    except OSError as fault:
        warnings.warn("report not written: " + str(fault), RuntimeWarning, stacklevel=3)
