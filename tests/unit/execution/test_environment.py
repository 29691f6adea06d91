"""What of the worker's and the job's variables a script may see."""

import pytest

from scriptfleet.domain.job import JobSpec
from scriptfleet.errors import InvalidValue
from scriptfleet.execution import environment
from scriptfleet.execution.environment import Inheritance

FACTS = {"job.id": "j", "run.id": "r", "job.attempt": "2"}
NOTHING = Inheritance({}, {}, {})
WORKER = {
    "PATH": "/bin",
    "HOME": "/root",
    "LC_ALL": "C",
    "CUDA_HOME": "/cuda",
    "SITE": "north",
    "DB_PASSWORD": "of the worker",
    "AWS_SECRET_ACCESS_KEY": "of the worker",
    "GITHUB_TOKEN": "of the worker",
    "VAULT_ADDRESS": "of the worker",
    "BROKER": "redis://me:of-the-worker@host/0",
    "SCRIPTFLEET_REDIS_URL": "of the worker",
    "SCRIPTFLEET_SIGNING_KEY": "of the worker",
    "SCRIPTFLEET_SECRET_TOKEN": "of the worker",
    "LD_PRELOAD": "/x.so",
    "LD_LIBRARY_PATH": "/cuda/lib",
}


def spec(**options: object) -> JobSpec:
    return JobSpec("shell", "x", {"command": "true"}, **options)  # type: ignore[arg-type]


def seen(inheritance: Inheritance, **options: object) -> dict[str, str]:
    return environment.for_run(inheritance, spec(**options), {}, FACTS).variables


def test_a_fleets_script_inherits_only_what_is_listed() -> None:
    assert environment.on_fleet(WORKER).of(spec()) == {"PATH": "/bin", "HOME": "/root", "LC_ALL": "C"}
    assert environment.on_fleet(WORKER).of(spec(inherit_env=False)) == environment.clean(WORKER)


def test_a_fleets_script_that_inherits_gets_neither_settings_nor_secrets_nor_loader_variables() -> None:
    found = environment.on_fleet(WORKER, ["VAULT_"]).of(spec(inherit_env=True))

    assert found.keys() == {"PATH", "HOME", "LC_ALL", "CUDA_HOME", "SITE"}


def test_a_local_script_inherits_all_but_loader_variables_unless_told_otherwise() -> None:
    local = environment.on_own_machine(WORKER)

    assert local.of(spec()) == {name: value for name, value in WORKER.items() if not name.startswith("LD_")}
    assert local.of(spec(inherit_env=True)) == local.of(spec())
    assert local.of(spec(inherit_env=False)) == environment.clean(WORKER)


def test_exclusions_name_variables_or_beginnings_of_them() -> None:
    local = environment.on_own_machine({"A": "1", "AB": "2", "ABC": "3", "B": "4", "a": "5"})

    assert local.of(spec(exclude_env=("A", "B"))).keys() == {"AB", "ABC", "a"}
    assert local.of(spec(exclude_env=("AB*",))).keys() == {"A", "B", "a"}
    assert local.of(spec(exclude_env=("*",))) == {}


def test_exclusions_leave_the_jobs_own_variables_alone() -> None:
    assert seen(environment.on_own_machine({"A": "own"}), env={"A": "job"}, exclude_env=("*",))["A"] == "job"


@pytest.mark.parametrize("rule", ["A*B", "**", "A B", "", "A=B"])
def test_an_exclusion_that_can_match_nothing_is_refused(rule: str) -> None:
    with pytest.raises(InvalidValue, match="exclude_env"):
        spec(exclude_env=(rule,))


def test_a_worker_without_a_path_gives_the_usual_one() -> None:
    assert "/usr/bin" in environment.clean({})["PATH"]


def test_loader_variables_are_dropped_unless_the_machine_allows_them() -> None:
    given = {"LD_PRELOAD": "/job.so", "A": "a"}
    allowed = environment.on_fleet(WORKER, allow_loader=True)

    assert "LD_PRELOAD" not in seen(environment.on_fleet(WORKER), env=given, inherit_env=True)
    assert seen(allowed, env=given)["LD_PRELOAD"] == "/job.so"
    assert "LD_LIBRARY_PATH" not in seen(allowed, env=given)
    assert seen(allowed, env=given, inherit_env=True)["LD_LIBRARY_PATH"] == "/cuda/lib"


def test_a_secret_cannot_bring_a_loader_variable_in() -> None:
    found = environment.for_run(NOTHING, spec(secrets=("LD_PRELOAD",)), {"LD_PRELOAD": "/x.so"}, FACTS)

    assert "LD_PRELOAD" not in found.variables


def test_the_nearer_source_wins() -> None:
    given = spec(env={"A": "job", "B": "job", "C": "job", "SCRIPTFLEET_ATTEMPT": "job"}, secrets=("C",))
    base = {"A": "base", "Z": "base"}
    found = environment.for_run(Inheritance(base, base, base), given, {"C": "secret"}, FACTS).variables

    assert {name: found[name] for name in "ABCZ"} == {"A": "job", "B": "job", "C": "secret", "Z": "base"}
    assert found["SCRIPTFLEET_ATTEMPT"] == "2"


def test_output_comes_at_once_unless_the_job_wants_it_otherwise() -> None:
    assert seen(NOTHING)["PYTHONUNBUFFERED"] == "1"
    assert seen(NOTHING, env={"PYTHONUNBUFFERED": ""})["PYTHONUNBUFFERED"] == ""


def test_variables_may_be_made_of_others_of_secrets_and_of_facts() -> None:
    given = {
        "URL": "pg://me:${PW}@${HOST}/db",
        "HOST": "db-${job.attempt}",
        "PATH": "/opt:${PATH}",
        "RUN": "${job.id}/${run.id}",
        "MACHINE": "${sys.hostname} ${sys.cpus} ${sys.memory_mb}",
    }
    inheritance = environment.on_fleet(WORKER)
    found = environment.for_run(inheritance, spec(env=given, secrets=("PW",)), {"PW": "s3cret${HOST}"}, FACTS)

    assert found.variables["URL"] == "pg://me:s3cret${HOST}@db-2/db"
    assert (found.variables["PATH"], found.variables["RUN"]) == ("/opt:/bin", "j/r")
    host, cpus, memory = found.variables["MACHINE"].split()
    assert host
    assert int(cpus) >= 1
    assert int(memory) > 64


def test_what_is_not_inherited_cannot_be_referred_to() -> None:
    with pytest.raises(InvalidValue, match="DB_PASSWORD"):
        seen(environment.on_fleet(WORKER), env={"A": "${DB_PASSWORD}"})


def test_secrets_and_variables_that_look_like_some_are_to_be_hidden_and_nothing_else() -> None:
    given = spec(env={"API_KEY": "${X}-key", "X": "visible", "VAULT_A": "vaulted"}, secrets=("PW",))
    inheritance = environment.on_fleet({}, ["VAULT_"])
    masks = environment.for_run(inheritance, given, {"PW": "s3cret"}, FACTS).masks

    assert {b"s3cret", b"visible-key", b"vaulted"} <= set(masks)
    assert b"visible" not in masks
    assert environment.for_run(inheritance, spec(env={"X": "visible"}), {}, FACTS).masks == ()


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_AUDIT", "DYLD_LIBRARY_PATH", "GCONV_PATH", "GLIBC_TUNABLES"])
def test_loader_variables_are_known(name: str) -> None:
    assert environment.is_loader_variable(name)


@pytest.mark.parametrize("name", ["LDAP", "PATH", "OLD_LD_PRELOAD"])
def test_other_variables_are_no_loader_variables(name: str) -> None:
    assert not environment.is_loader_variable(name)
