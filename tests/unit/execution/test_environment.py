"""What of the worker's and the job's variables a script may see."""

import pytest

from scriptfleet.domain.job import JobSpec
from scriptfleet.execution import environment
from scriptfleet.execution.environment import SecretMissing


def spec(**options: object) -> JobSpec:
    return JobSpec("shell", "x", {"command": "true"}, **options)  # type: ignore[arg-type]


def test_a_fleets_script_inherits_only_what_is_listed() -> None:
    own = {"PATH": "/bin", "HOME": "/root", "LC_ALL": "C", "API_KEY": "x", "PYTHONPATH": "/x", "LD_PRELOAD": "y"}

    assert environment.clean(own) == {"PATH": "/bin", "HOME": "/root", "LC_ALL": "C"}


def test_a_worker_without_a_path_gives_the_usual_one() -> None:
    assert "/usr/bin" in environment.clean({})["PATH"]


def test_a_local_script_inherits_all_but_loader_variables() -> None:
    assert environment.whole({"API_KEY": "x", "LD_PRELOAD": "y", "DYLD_INSERT_LIBRARIES": "z"}) == {"API_KEY": "x"}


def test_the_nearer_source_wins() -> None:
    given = spec(env={"A": "job", "B": "job", "C": "job", "D": "job"}, secrets=("C", "D"))
    found = environment.for_run({"A": "base", "Z": "base"}, given, {"C": "secret", "D": "secret"}, {"D": "about"})

    assert {name: found[name] for name in "ABCDZ"} == {
        "A": "job",
        "B": "job",
        "C": "secret",
        "D": "about",
        "Z": "base",
    }


def test_output_comes_at_once_unless_the_job_wants_it_otherwise() -> None:
    assert environment.for_run({}, spec(), {}, {})["PYTHONUNBUFFERED"] == "1"
    assert environment.for_run({}, spec(env={"PYTHONUNBUFFERED": ""}), {}, {})["PYTHONUNBUFFERED"] == ""


def test_a_secret_that_is_missing_is_named_with_what_to_set() -> None:
    with pytest.raises(SecretMissing, match="SCRIPTFLEET_SECRET_TOKEN"):
        environment.for_run({}, spec(secrets=("TOKEN",)), {}, {})


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_AUDIT", "DYLD_LIBRARY_PATH", "GCONV_PATH", "GLIBC_TUNABLES"])
def test_loader_variables_are_known(name: str) -> None:
    assert environment.is_loader_variable(name)


@pytest.mark.parametrize("name", ["LDAP", "PATH", "OLD_LD_PRELOAD"])
def test_other_variables_are_no_loader_variables(name: str) -> None:
    assert not environment.is_loader_variable(name)
