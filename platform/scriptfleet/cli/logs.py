"""``scriptfleet logs``: what a job wrote, while it runs or afterwards."""

import codecs
import json
from collections.abc import Iterator

from scriptfleet.cli import output
from scriptfleet.cli.fleet_options import add_fleet_options, add_json, settings_of
from scriptfleet.cli.known_job import BROKER_AWAY, from_store, whole_id
from scriptfleet.cli.main import INTERRUPTED_EXIT_CODE
from scriptfleet.cli.screen import note
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import Settings
from scriptfleet.errors import JobNotFound, ScriptfleetError
from scriptfleet.queues.client import Client

_Pieces = Iterator[tuple[str, str]]


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    parser.add_argument("job", metavar="JOB", help="a job's id or its beginning")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job ends, over all its attempts")
    add_json(parser)
    add_fleet_options(parser)
    parser.show_examples(
        "scriptfleet logs 4f0c2a9e",
        "scriptfleet logs -f 4f0c2a9e",
        "scriptfleet logs 4f0c2a9e 2>/dev/null",
        "scriptfleet logs -f --json 4f0c2a9e    # a line of JSON for each piece",
    )


def execute(chosen: Namespace) -> int:
    """Print the output, stdout to stdout and stderr to stderr."""
    settings = settings_of(chosen)
    job_id = whole_id(settings, chosen.job)
    pieces = _pieces(settings, job_id, chosen.follow)
    try:
        _print_json(pieces) if chosen.as_json else output.show(pieces)
    except KeyboardInterrupt:
        if not chosen.follow:
            raise
        note(f"job {job_id} goes on: `scriptfleet cancel {job_id}` ends it")
        return INTERRUPTED_EXIT_CODE
    return 0


def _print_json(pieces: _Pieces) -> None:
    for stream, text in pieces:
        if text:
            print(json.dumps({"stream": stream, "text": text}, ensure_ascii=False), flush=True)


def _pieces(settings: Settings, job_id: str, follow: bool) -> _Pieces:
    try:
        job = Client(settings=settings).job(job_id)
        facts = job.facts()
    except (JobNotFound, *BROKER_AWAY) as missing:
        row, _ = from_store(settings, job_id, missing)
        stored = _decoded(_stored(settings, row.last_run_id))
        return stored if row.state.is_final else _and_no_more(stored, missing)
    if facts["state"].is_final and facts["run_id"] and _is_all_stored(settings, job_id):
        return _decoded(_stored(settings, facts["run_id"]))
    return job.output(follow)


def _and_no_more(stored: _Pieces, missing: ScriptfleetError) -> _Pieces:
    """Give what is stored of a job that has not ended; then say why that is not all."""
    yield from stored
    raise missing


def _is_all_stored(settings: Settings, job_id: str) -> bool:
    # The broker keeps the end of long output, the store all of it; but the store learns of an end a moment later.
    try:
        _, run = from_store(settings, job_id, JobNotFound(job_id))
    except ScriptfleetError:
        return False
    if run is None or run.outcome is None:
        return False
    wanted = sum(size or 0 for size in (run.usage.stdout_size_bytes, run.usage.stderr_size_bytes))
    cut = sum(size or 0 for size in (run.stdout_cut_bytes, run.stderr_cut_bytes))
    return sum(len(piece) for _, piece in _stored(settings, run.run_id)) >= wanted - cut


def _stored(settings: Settings, run_id: str | None) -> Iterator[tuple[str, bytes]]:
    if run_id is None:
        return iter(())
    from scriptfleet.cli import stored_jobs  # noqa: PLC0415

    return stored_jobs.stored_output(settings, run_id)


def _decoded(pieces: Iterator[tuple[str, bytes]]) -> _Pieces:
    decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
    for stream, content in pieces:
        yield stream, decoders[stream].decode(content)
    for stream, decoder in decoders.items():
        yield stream, decoder.decode(b"", final=True)
