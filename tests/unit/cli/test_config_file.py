from pathlib import Path

import pytest

from scriptfleet.cli.config_file import read
from scriptfleet.errors import InvalidValue

VARIABLES = {"KEEP": "14", "DATA": "/srv/data", "ON": "true", "SLOW": "2.5"}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def test_every_section_that_is_acted_on_is_read(tmp_path: Path) -> None:
    text = """
    retry: {strategy: linear, max_attempts: 3, initial_delay: 0.5, max_delay: 10, multiplier: 1}
    database: {path: history.db, auto_cleanup: true, retention_days: 7}
    monitoring: {sampling_interval: 0.5, enable_profiling: false, log_level: WARNING}
    """

    found = read(written(tmp_path, text), {})

    assert found.retry == {
        "strategy": "linear",
        "max_attempts": 3,
        "initial_delay": 0.5,
        "max_delay": 10.0,
        "multiplier": 1.0,
    }
    assert (found.history_path, found.auto_cleanup, found.retention_days) == (Path("history.db"), True, 7)
    assert (found.sampling_interval, found.log_level) == (0.5, "WARNING")


def test_a_variable_may_stand_for_any_value(tmp_path: Path) -> None:
    text = """
    database: {path: "${DATA}/$${x}.db", auto_cleanup: "${ON}", retention_days: "${KEEP}"}
    monitoring: {sampling_interval: "${SLOW}"}
    """

    found = read(written(tmp_path, text), VARIABLES)

    assert found.history_path == Path("/srv/data/${x}.db")
    assert (found.auto_cleanup, found.retention_days, found.sampling_interval) == (True, 14, 2.5)


@pytest.mark.parametrize("text", ["", "retry:\n", "# nothing\n"])
def test_a_file_or_section_that_says_nothing_is_accepted(text: str, tmp_path: Path) -> None:
    assert read(written(tmp_path, text), {}).retry == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("retrys: {}", r"run\.yaml: 'retrys' .* one of retry, database, monitoring"),
        ("retry: {attempts: 3}", r"run\.yaml: retry: 'attempts' .* one of strategy, max_attempts"),
        ("retry: {strategy: soon}", r"run\.yaml: retry\.strategy: 'soon' .* one of linear"),
        ("retry: {max_attempts: 0}", r"retry\.max_attempts: 0 .* from 1 to 1000"),
        ("retry: {max_attempts: 1.5}", r"retry\.max_attempts: 1\.5 .* a whole number"),
        ("retry: {max_attempts: many}", r"retry\.max_attempts: 'many' .* a finite number"),
        ("retry: {initial_delay: -1}", r"retry\.initial_delay: -1 .* from 0"),
        ("retry: {initial_delay: .nan}", r"retry\.initial_delay: nan .* a finite number"),
        ("retry: {oom_memory_factor: much}", r"retry\.oom_memory_factor: 'much' .* a finite number"),
        ("retry: {oom_queue: big}", r"run\.yaml: retry: 'oom_queue' .* one of strategy"),
        ("retry: {multiplier: 0.5}", r"retry\.multiplier: 0\.5 .* from 1"),
        ("retry: [1]", r"run\.yaml: retry: .* a mapping"),
        ("database: {path: a, url: b}", r"run\.yaml: database: 'path and url' .* one of them"),
        ("database: {path: 7}", r"database\.path: 7 .* a string"),
        ("database: {auto_cleanup: 1, retention_days: 3}", r"database\.auto_cleanup: 1 .* true or false"),
        ("database: {auto_cleanup: true}", r"database\.auto_cleanup: 'true' .* retention_days beside it"),
        ("database: {retention_days: 0}", r"database\.retention_days: 0 .* from 1"),
        ("monitoring: {log_level: LOUD}", r"monitoring\.log_level: 'LOUD' .* one of DEBUG, INFO"),
        ("monitoring: {sampling_interval: 0}", r"monitoring\.sampling_interval: 0\.?0? .* from 0\.01 to 3600"),
        ("monitoring: {enable_profiling: true}", r"enable_profiling: 'true' .* no profiler"),
        ("database: {path: '${NOWHERE}'}", r"database\.path: '\$\{NOWHERE\}' .* a variable that is set"),
        ("database: {path: '${DATA'}", r"database\.path: '\$\{DATA' .* a variable that is set"),
        ("alerts: []", r"run\.yaml: alerts: .* does not act on alerts, performance_gates, notifications yet"),
        ("performance_gates: []", r"performance_gates: .* does not act on"),
        ("notifications: {slack: {}}", r"notifications: .* does not act on"),
        ("- a\n- b", r"run\.yaml: .* a mapping"),
        ("retry: {", r"--config: .* a YAML file"),
        ("a: !!python/object:os.system x", r"--config: .* a YAML file"),
        ("1: 2", r"run\.yaml: .* a mapping with string keys"),
    ],
)
def test_what_cannot_be_is_refused_with_file_key_and_what_is_allowed(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=told):
        read(written(tmp_path, text), VARIABLES)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="a file that can be read"):
        read(tmp_path / "none.yaml", {})


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(InvalidValue, match="at most 1,048,576 bytes"):
        read(Path("/dev/zero"), {})


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(b"retry: \xff\xfe\x00")

    with pytest.raises(InvalidValue, match="a YAML file"):
        read(path, {})


def test_a_rule_for_out_of_memory_is_read(tmp_path: Path) -> None:
    text = "retry: {max_attempts: 3, oom_memory_factor: 2, oom_memory_max_mb: '${KEEP}'}"

    found = read(written(tmp_path, text), {"KEEP": "4096"})

    assert found.retry == {"max_attempts": 3, "oom_memory_factor": 2, "oom_memory_max_mb": 4096.0}
