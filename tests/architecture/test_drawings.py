"""What is drawn or listed in words equals what the code does."""

import re
from pathlib import Path

import scriptfleet
from scriptfleet import errors
from scriptfleet.domain import state
from scriptfleet.domain.event import EventType
from scriptfleet.domain.kinds import _CHECKS
from scriptfleet.domain.state import FINAL, LIVE, State
from scriptfleet.domain.usage import MEASURES
from scriptfleet.execution.executor import executor_kinds
from scriptfleet.queues import keys

PACKAGE = Path(scriptfleet.__file__).parent
LUA = PACKAGE / "queues" / "lua"

#: Names that databases, exports, conditions and other people's dashboards hold: never to be changed in passing.
CANONICAL_MEASURES = (
    *("start_time", "end_time", "execution_time_seconds", "exit_code", "signal", "success"),
    *("error_message", "error_type", "cpu_max", "cpu_avg", "cpu_min", "user_time_seconds", "system_time_seconds"),
    *("memory_max_mb", "memory_avg_mb", "memory_min_mb", "memory_charged_max_mb"),
    *("cpu_method", "memory_method", "io_method", "pids_method"),
    *("page_faults_minor", "page_faults_major", "num_threads", "num_fds", "pids_count"),
    *("voluntary_context_switches", "involuntary_context_switches"),
    *("block_io_read_bytes", "block_io_write_bytes", "network_rx_bytes", "network_tx_bytes"),
    *("memory_limit_mb", "memory_percent"),
    *("cpu_throttled_seconds", "cpu_stalled_seconds", "memory_stalled_seconds", "io_stalled_seconds"),
    *("stdout_lines", "stderr_lines", "stdout_size_bytes", "stderr_size_bytes"),
    *("gpu_util_max", "gpu_memory_max_mb", "python_version", "platform"),
    *("queue_wait_seconds", "start_overhead_seconds"),
)


def _own_errors() -> dict[str, type[Exception]]:
    return {
        name: found
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, errors.ScriptfleetError)
    }


def _drawn_errors() -> dict[str, str]:
    """Give each drawn class and the class it hangs from."""
    drawn, above = {"ScriptfleetError": ""}, {0: "ScriptfleetError"}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^(.*?)[├└]── (\w+)", line):
            depth = len(found[1]) // 4 + 1
            drawn[found[2]], above[depth] = above[depth - 1], found[2]
    return drawn


def test_every_error_is_in_the_drawn_tree_under_the_class_it_derives_from() -> None:
    derived = {name: found.__bases__[0].__name__ for name, found in _own_errors().items() if found.__module__}

    assert derived | {"ScriptfleetError": ""} == _drawn_errors()


def test_the_error_tree_stays_small() -> None:
    assert len(_own_errors()) <= 13


def test_the_states_are_those_of_the_drawing() -> None:
    words = set(re.findall(r"[a-z_]+", (state.__doc__ or "").split("```")[1]))

    assert {str(one) for one in State} <= words


def test_the_states_are_the_twelve_words() -> None:
    assert [str(one) for one in State] == [
        *("queued", "delayed", "running", "succeeded", "failed", "timed_out"),
        *("out_of_memory", "cancelled", "expired", "rejected", "lost", "skipped"),
    ]


def test_the_measures_have_their_canonical_names() -> None:
    assert sorted(MEASURES) == sorted(CANONICAL_MEASURES)


def test_every_measure_that_is_a_size_or_a_time_says_its_unit() -> None:
    units = ("_seconds", "_mb", "_bytes", "_percent", "_lines", "_time")
    without = {name for name in MEASURES if name.split("_")[0] in {"memory", "block", "network"}}

    assert {name for name in without if not name.endswith((*units, "_method"))} == set()


def test_the_broker_and_the_domain_agree_on_which_states_are_final() -> None:
    text = (LUA / "job.lua").read_text()
    listed = re.search(r"FINAL = \{(.*?)\}", text, re.DOTALL)

    assert listed is not None
    assert set(re.findall(r"(\w+) = 1", listed[1])) == {str(one) for one in FINAL}


def test_every_key_that_lua_builds_is_in_the_list_of_keys() -> None:
    listed = set(re.findall(r"\{N\}:([a-z]+)", keys.__doc__ or ""))
    built = {name for path in LUA.glob("*.lua") for name in re.findall(r"P \.\. '([a-z]+)", path.read_text()) if name}

    assert built
    assert built <= listed


def test_every_key_that_python_builds_is_in_the_list_of_keys() -> None:
    listed = set(re.findall(r"\{N\}:([a-z]+)", keys.__doc__ or ""))
    sources = "\n".join(path.read_text() for path in (PACKAGE / "queues").glob("*.py"))
    built = set(re.findall(r"keys\(\"([a-z]+)\"", sources))

    assert built
    assert built <= listed


def test_every_event_that_lua_writes_is_known() -> None:
    text = "\n".join(path.read_text() for path in LUA.glob("*.lua"))

    assert set(re.findall(r"emit\('(\w+)'", text)) <= {str(one) for one in EventType}


def test_every_kind_of_job_has_an_executor() -> None:
    assert set(executor_kinds()) == set(_CHECKS)


def test_a_job_is_live_or_final_and_never_both() -> None:
    assert set(State) == LIVE | FINAL
    assert not LIVE & FINAL
