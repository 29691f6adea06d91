"""The description of REST is fit for generated clients: names, types, examples; and a client finds it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from tests.results_service import Service

Description = dict[str, Any]


@pytest.fixture
def described(service: Service) -> Description:
    found: Description = service.client.get("/api/v1/openapi.json").json()
    return found


def operations(described: Description) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_each_operation_has_a_name_of_its_own_and_a_summary(described: Description) -> None:
    names = Counter(operation["operationId"] for _, operation in operations(described))

    assert [name for name, count in names.items() if count > 1 or not name.isidentifier()] == []
    assert [route for route, operation in operations(described) if not operation.get("summary")] == []
    assert [route for route, operation in operations(described) if len(operation["tags"]) != 1] == []


def test_each_answer_says_what_it_holds(described: Description) -> None:
    untyped = [
        f"{route} {status} {kind}"
        for route, operation in operations(described)
        for status, answer in operation["responses"].items()
        for kind, body in (answer.get("content") or ({} if status == "204" else {"nothing": {}})).items()
        if not _is_typed(body.get("schema"))
    ]

    assert untyped == []


def _is_typed(schema: dict[str, Any] | None) -> bool:
    return bool(schema) and bool({"type", "$ref", "anyOf", "allOf", "oneOf"} & set(schema or ()))


def test_each_operation_says_how_it_fails(described: Description) -> None:
    for route, operation in operations(described):
        assert "application/problem+json" in operation["responses"]["default"]["content"], route
        assert ("401" in operation["responses"]) == bool(operation.get("security")), route


def test_each_example_is_accepted_by_its_own_schema(described: Description) -> None:
    tried = 0
    for place, schema in _schemas(described, "#"):
        for example in schema.get("examples", []):
            whole = {**schema, "components": described["components"]}
            whole.pop("examples")
            validator = jsonschema_rs.Draft202012Validator(whole)
            assert validator.is_valid(example), f"{place}: {example}"
            tried += 1
    assert tried > 20


def _schemas(node: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get("examples"), list):
            # Of a parameter the examples stand beside its schema.
            yield place, node["schema"] | {"examples": node["examples"]} if "schema" in node else node
        for name, value in node.items():
            if name != "examples":
                yield from _schemas(value, f"{place}/{name}")
    elif isinstance(node, list):
        for at, value in enumerate(node):
            yield from _schemas(value, f"{place}/{at}")


def test_each_reference_leads_somewhere_and_nothing_is_described_in_vain(described: Description) -> None:
    used = set(_references(described))

    assert {name.removeprefix("#/components/schemas/") for name in used} == set(described["components"]["schemas"])


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_whoever_asks_is_led_to_the_description(service: Service) -> None:
    get = service.client.get
    lost = get("/api/v1/nowhere")

    assert lost.json()["detail"].endswith("GET /api/v1/openapi.json describes what there is")
    assert (
        lost.headers["link"]
        == get("/api/v1/jobs").headers["link"]
        == ('</api/v1/openapi.json>; rel="service-desc"; type="application/json"')
    )
    assert get("/openapi.json").json() == get("/api/v1/openapi.json").json()


def test_the_catalogue_of_rfc_9727_names_the_description(service: Service) -> None:
    answer = service.client.get("/.well-known/api-catalog")
    catalogue = answer.json()["linkset"][0]

    assert answer.headers["content-type"].startswith("application/linkset+json")
    assert service.client.get(catalogue["service-desc"][0]["href"]).json()["openapi"].startswith("3.1")
    assert service.client.get(catalogue["status"][0]["href"]).json() == {"status": "ok"}
    assert service.client.head("/.well-known/api-catalog").status_code == 200


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"content": b'{"code": "print(1)",}', "headers": JSON}, 422, "body: no JSON: Expecting property name"),
        ({"content": b'{"code": "print(1)', "headers": JSON}, 422, "body: no JSON: Unterminated string"),
        ({"content": b"", "headers": JSON}, 422, "body: nothing was sent: send a JSON object"),
        ({"content": b'{"code": "1"}'}, 422, "Content-Type: '' cannot be read here: send JSON"),
        ({"data": {"code": "1"}}, 422, "Content-Type: 'application/x-www-form-urlencoded' cannot be read here"),
        ({"json": ["print(1)"]}, 422, "body: \"['print(1)']\" is not accepted: send a JSON object"),
        ({"content": b'{"code": "\xe9"}', "headers": JSON}, 400, "the body cannot be read: send JSON in UTF-8"),
        ({"content": b'{"kwargs":' + b'{"a":' * 100_000, "headers": JSON}, 400, "not a thousand levels deep"),
        ({"content": b'{"priority":' + b"9" * 5000 + b"}", "headers": JSON}, 400, "no endless numbers"),
        ({"json": {"cod": "print(1)"}}, 422, "cod: 'print(1)' is not accepted: there is nothing of this name here"),
        ({"json": {"script": {"content": "1"}}}, 422, "script.name: missing: it must be given"),
        ({"json": {"code": 5}}, 422, "code: '5' is not accepted: input should be a valid string"),
        ({"json": {}}, 422, "job: 'nothing to run' is not accepted: expected exactly one of code, command"),
    ],
)
def test_a_job_that_cannot_be_read_is_refused_in_one_clear_sentence(
    service: Service, sent: dict[str, Any], status: int, said: str
) -> None:
    answer = service.client.post("/api/v1/jobs", **sent)

    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
