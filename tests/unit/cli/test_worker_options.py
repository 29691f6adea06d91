import pytest

from scriptfleet.cli import worker
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import load_settings
from scriptfleet.errors import InvalidValue


def chosen(*words: str) -> Namespace:
    parser = VerbParser(prog="scriptfleet worker")
    worker.build(parser)
    return parser.read(words)


def test_each_option_is_the_setting_that_the_workers_process_reads() -> None:
    words = ["--warm", "--preload", "json,email.mime", "--max-cpu-percent", "90", "--max-memory-percent", "75.5"]

    settings = load_settings(worker.host_environment(chosen(*words)))

    assert settings.warm_preload == ("json", "email.mime")
    assert (settings.max_cpu_percent, settings.max_memory_percent) == (90.0, 75.5)


def test_how_it_leaves_and_is_probed_are_settings_too() -> None:
    settings = load_settings(worker.host_environment(chosen("--drain-seconds", "2m", "--health-port", "8081")))

    assert (settings.drain_seconds, settings.worker_health_port) == (120.0, 8081)


def test_warm_alone_is_an_interpreter_that_is_merely_running() -> None:
    assert load_settings(worker.host_environment(chosen("--warm"))).warm_preload == ()


def test_what_is_not_said_is_left_to_the_environment() -> None:
    assert worker.host_environment(chosen()) == {}


def test_the_accounting_method_is_told_by_name() -> None:
    assert worker.host_environment(chosen("--monitor", "rusage")) == {"SCRIPTFLEET_MONITOR": "rusage"}


def test_preload_without_warm_is_refused() -> None:
    with pytest.raises(InvalidValue, match="--warm beside it"):
        worker.host_environment(chosen("--preload", "json"))


def test_labels_are_told_as_one_list_and_read_back() -> None:
    settings = load_settings(worker.host_environment(chosen("--label", "gpu=a100", "--label", "zone=")))

    assert settings.worker_labels == {"gpu": "a100", "zone": ""}


@pytest.mark.parametrize("said", ["gpu", "=a100", "gpu=a100,zone", f"{'g' * 65}=a"])
def test_labels_that_cannot_be_are_refused_by_the_settings_name(said: str) -> None:
    with pytest.raises(InvalidValue, match="SCRIPTFLEET_WORKER_LABELS"):
        load_settings({"SCRIPTFLEET_WORKER_LABELS": said})


def test_a_label_with_a_comma_is_refused_where_it_is_said() -> None:
    with pytest.raises(InvalidValue, match="--label"):
        worker.host_environment(chosen("--label", "gpu=a,b"))
