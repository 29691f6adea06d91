"""${NAME} in the variables of a job."""

import pytest

from scriptfleet.domain.interpolation import interpolate
from scriptfleet.errors import InvalidValue

KNOWN = {"HOME": "/home/me", "PATH": "/bin", "sys.cpus": "8", "job.id": "j-1", "TOKEN": "${HOME}"}


def resolved(variables: dict[str, str], outputs: dict[str, object] | None = None) -> dict[str, str]:
    return interpolate(variables, KNOWN, outputs or {})


def test_values_without_references_stay_as_they_are() -> None:
    given = {"A": "plain $HOME", "B": "$(date) `x` %{y}", "C": "$", "D": "{}", "E": ""}

    assert resolved(given) == given


def test_a_reference_stands_for_an_own_an_inherited_variable_or_a_fact() -> None:
    given = {"A": "${B}/${HOME}", "B": "b-${sys.cpus}", "C": "${job.id}${job.id}"}

    assert resolved(given) == {"A": "b-8//home/me", "B": "b-8", "C": "j-1j-1"}


def test_the_order_of_the_variables_is_no_matter_and_is_kept() -> None:
    given = {"A": "${B}", "B": "${C}", "C": "c"}

    assert list(resolved(given).items()) == [("A", "c"), ("B", "c"), ("C", "c")]
    assert list(resolved(dict(reversed(given.items())))) == ["C", "B", "A"]


def test_an_own_variable_wins_over_an_inherited_one() -> None:
    assert resolved({"HOME": "/mine", "A": "${HOME}"})["A"] == "/mine"


def test_a_variable_that_names_itself_adds_to_the_inherited_one() -> None:
    assert resolved({"PATH": "/opt/bin:${PATH}", "A": "${PATH}"}) == {"PATH": "/opt/bin:/bin", "A": "/opt/bin:/bin"}


def test_inherited_values_are_taken_as_they_are() -> None:
    assert resolved({"A": "${TOKEN}"})["A"] == "${HOME}"


def test_two_dollars_stand_for_a_plain_reference() -> None:
    assert resolved({"A": "$${HOME} $$${HOME} $$ ${HOME}"})["A"] == "${HOME} $${HOME} $$ /home/me"


def test_earlier_outputs_are_reached_by_node_and_key() -> None:
    outputs = {"load": {"rows": 12, "file": "a.csv", "deep": {"ok": True, "list": [1, "ä"]}, "none": None}}
    given = {"A": "${outputs.load.file}:${outputs.load.rows}", "B": "${outputs.load.deep}", "C": "${outputs.load.none}"}

    assert resolved(given, outputs) == {"A": "a.csv:12", "B": '{"ok": true, "list": [1, "ä"]}', "C": "null"}
    assert resolved({"A": "${outputs.load.deep.ok}"}, outputs) == {"A": "true"}


@pytest.mark.parametrize(
    "reference",
    ["${NOPE}", "${}", "${HOME:-x}", "${home}", "${ HOME }", "${sys.nope}", "${outputs.load.rows}", "${outputs}"],
)
def test_a_name_that_is_not_defined_is_refused_with_the_variable_and_the_name(reference: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        resolved({"A": "fine", "B": f"x {reference}"})

    assert caught.value.field == "env[B]"
    assert caught.value.value == reference
    assert "sys.cpus" in str(caught.value)


def test_a_key_below_a_text_is_not_defined() -> None:
    with pytest.raises(InvalidValue, match=r"outputs\.load\.file\.x"):
        resolved({"A": "${outputs.load.file.x}"}, {"load": {"file": "a.csv"}})


@pytest.mark.parametrize("value", ["${HOME", "a${", "${A${HOME}}", "${HO{ME}"])
def test_a_reference_that_is_not_closed_is_refused(value: str) -> None:
    with pytest.raises(InvalidValue, match=r"env\[A\].*a name and }"):
        resolved({"A": value})


@pytest.mark.parametrize(
    ("variables", "chain"),
    [
        ({"A": "${A}"}, "A → A"),
        ({"A": "${B}", "B": "${A}"}, "A → B → A|B → A → B"),
        ({"A": "${B}", "B": "${C}x", "C": "${A}"}, "A → B → C → A|B → C → A → B|C → A → B → C"),
    ],
)
def test_a_loop_is_refused_with_its_chain(variables: dict[str, str], chain: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        resolved(variables)

    assert caught.value.value in chain.split("|")


def test_a_long_chain_is_no_problem() -> None:
    given = {f"V{at}": f"${{V{at + 1}}}" for at in range(5000)} | {"V5000": "end"}

    assert resolved(given)["V0"] == "end"


def test_values_that_grow_without_measure_are_refused_before_they_do() -> None:
    given = {f"V{at}": f"${{V{at + 1}}}" * 10 for at in range(30)} | {"V30": "x" * 10}

    with pytest.raises(InvalidValue, match="131,072"):
        resolved(given)


def test_a_message_never_shows_what_a_reference_stands_for() -> None:
    with pytest.raises(InvalidValue) as caught:
        interpolate({"A": "${TOKEN}"}, {"TOKEN": "hunter2\0"}, {})

    assert "hunter2" not in str(caught.value)
    assert "${TOKEN}" in str(caught.value)
