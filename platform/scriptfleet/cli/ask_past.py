"""Answers the options of past_options.py from the history of ``run``. Imported when one is given."""

import time
from pathlib import Path
from typing import Final

from scriptfleet.cli import export, metric_view, retention_view
from scriptfleet.cli.look_back import opened
from scriptfleet.cli.past_options import AGGREGATES
from scriptfleet.cli.run_wishes import HistoryPlace
from scriptfleet.cli.verb_parser import Namespace
from scriptfleet.storage.engine import Database
from scriptfleet.storage.moments import end_of, start_of
from scriptfleet.storage.retention_policy import PolicyStore, apply, new_policy
from scriptfleet.storage.run_filter import RunFilter

_DEFAULT_LIMIT: Final = 1000


def answer(chosen: Namespace, place: HistoryPlace) -> None:
    """Do what is asked, in this order. Raises InvalidValue, StoreUnreachable when there is no history."""
    with opened(place) as database:
        if chosen.query_metric or chosen.metrics_list:
            _query(chosen, database)
        if chosen.export_output:
            which = _which(chosen.export_script, "--export", chosen.export_start_date, chosen.export_end_date, "-date")
            form = chosen.export_format or export.format_of(chosen.export_output)
            export.write(database, which, chosen.export_metric, form, chosen.export_output, chosen.as_json)
        _retain(chosen, database)


def _query(chosen: Namespace, database: Database) -> None:
    which, as_json = _which(chosen.query_script, "--query", chosen.query_start, chosen.query_end), chosen.as_json
    metric = chosen.query_metric
    if chosen.metrics_list:
        metric_view.show_names(database, which, as_json)
    if metric is None:
        return
    if chosen.bucket:
        metric_view.show_buckets(database, metric, which, chosen.bucket, as_json)
    elif chosen.aggregate or chosen.aggregations:
        names = (chosen.aggregate,) if chosen.aggregate else AGGREGATES
        metric_view.show_aggregates(database, metric, which, names, as_json)
    else:
        metric_view.show_values(database, metric, which, chosen.query_limit or _DEFAULT_LIMIT, as_json)


def _retain(chosen: Namespace, database: Database) -> None:
    policies = PolicyStore(database)
    if chosen.add_retention_policy:
        given = (chosen.retention_days, chosen.archive_path, chosen.compliance_mode)
        policies.put(new_policy(database, chosen.add_retention_policy, *given, time.time()))
    if chosen.apply_retention_policy:
        policy = policies.get(chosen.apply_retention_policy)
        result = apply(database, policy, time.time(), dry_run=chosen.retention_dry_run)
        retention_view.show_result(result, chosen.as_json)
    if chosen.list_retention_policies or (chosen.add_retention_policy and not chosen.apply_retention_policy):
        retention_view.show_policies(policies.all(), chosen.as_json)


def _which(script: str | None, option: str, start: str | None, end: str | None, rest: str = "") -> RunFilter:
    since, until = start_of(f"{option}-start{rest}", start), end_of(f"{option}-end{rest}", end)
    # Runs on this machine go by the file name of their script.
    return RunFilter(name=Path(script).name if script else None, since=since, until=until)
