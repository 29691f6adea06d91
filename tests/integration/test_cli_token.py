"""The verbs token and audit, as people type them."""

import json
import re
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from scriptfleet.cli.up import able_to_ask
from scriptfleet.config import load_settings
from scriptfleet.domain.role import Role
from scriptfleet.storage.engine import open_store
from scriptfleet.storage.migrate import head
from scriptfleet.storage.token_store import TokenStore
from tests.command import one_line, scriptfleet
from tests.contract.test_store_schema import upgrade_to
from tests.integration.test_results_serve import environment, refused, served


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert scriptfleet("db", "upgrade", home=tmp_path).returncode == 0
    return tmp_path


def test_a_token_is_made_used_listed_and_revoked(home: Path, redis_url: str) -> None:
    made = scriptfleet("token", "add", "ci", "--role", "operator", "--expires", "30d", home=home)
    assert made.returncode == 0
    secret = made.stdout.strip()
    assert re.fullmatch(r"sft_[\w-]{43}", secret)
    assert secret not in made.stderr

    with served(environment(home, redis_url)) as (_, url):
        asks = {"Authorization": f"Bearer {secret}"}
        assert httpx.get(f"{url}/api/v1/jobs", timeout=60).status_code == 401
        assert httpx.get(f"{url}/api/v1/jobs", headers=asks, timeout=60).status_code == 200
        assert httpx.get(f"{url}/api/v1/audit", headers=asks, timeout=60).status_code == 403
        assert scriptfleet("token", "revoke", "ci", home=home).returncode == 0
        assert httpx.get(f"{url}/api/v1/jobs", headers=asks, timeout=60).status_code == 401

    (shown,) = json.loads(scriptfleet("token", "ls", "--json", home=home).stdout)
    assert (shown["name"], shown["role"], shown["state"]) == ("ci", "operator", "revoked")
    assert shown["last_used_at"] > shown["created_at"]
    assert shown["expires_at"] == pytest.approx(shown["created_at"] + 30 * 86_400, abs=60)
    table = scriptfleet("token", "ls", home=home).stdout
    assert secret not in table
    assert max(map(len, table.splitlines())) <= 80


def test_what_was_done_by_the_command_line_is_in_the_audit_log(home: Path) -> None:
    scriptfleet("token", "add", "ci", "--role", "viewer", home=home)
    scriptfleet("token", "revoke", "ci", home=home)

    entries = json.loads(scriptfleet("audit", "--json", home=home).stdout)

    assert [(one["action"], one["target"], one["result"]) for one in entries] == [
        ("token.revoke", "ci", "ok"),
        ("token.add", "ci", "ok"),
        ("db.upgrade", head(), "ok"),
    ]
    assert entries[1]["detail"] == {"role": "viewer"}
    assert len(json.loads(scriptfleet("audit", "--json", "--action", "token.add", home=home).stdout)) == 1
    assert json.loads(scriptfleet("audit", "--json", "--actor", "ann", home=home).stdout) == []
    assert len(json.loads(scriptfleet("audit", "--json", "--limit", "1", "--since", "1h", home=home).stdout)) == 1
    table = scriptfleet("audit", home=home).stdout
    assert "token.revoke" in table
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "ci"), "--role"),
        (("add", "ci", "--role", "king"), "king"),
        (("add", "local", "--role", "viewer"), "token name"),
        (("add", "", "--role", "viewer"), "token name"),
        (("add", "ci", "--role", "viewer", "--expires", "0s"), "--expires"),
        (("add", "ci", "--role", "viewer", "--expires", "soon"), "soon"),
        (("revoke", "nobody's"), "token ls"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(home: Path, words: tuple[str, ...], said: str) -> None:
    result = scriptfleet("token", *words, home=home)

    assert result.returncode == 2
    assert said in one_line(result)


def test_a_name_is_one_tokens_for_ever(home: Path) -> None:
    scriptfleet("token", "add", "ci", "--role", "viewer", home=home)
    scriptfleet("token", "revoke", "ci", home=home)

    result = scriptfleet("token", "add", "ci", "--role", "viewer", home=home)

    assert result.returncode == 2
    assert "no other token has had" in one_line(result)


def test_another_address_is_served_once_the_fleet_has_a_token(home: Path, redis_url: str) -> None:
    environ = environment(home, redis_url)
    assert refused(environ, "--host", "0.0.0.0", "--port", "0")[0] == 2
    scriptfleet("token", "add", "ci", "--role", "viewer", home=home)

    # It gets as far as the port, which is none.
    code, said = refused(environ, "--host", "0.0.0.0", "--port", "99999")

    assert (code, "port" in said) == (2, True)


def test_tokens_of_an_older_schema_count_before_the_database_is_brought_up_to_date(
    home: Path, redis_url: str, tmp_path: Path
) -> None:
    old = f"sqlite:///{tmp_path / 'old.db'}"
    environ = environment(home, redis_url, SCRIPTFLEET_DATABASE_URL=old)
    upgrade_to(old, "0006")
    options = ("--migrate", "--host", "0.0.0.0", "--port", "99999")
    assert "a loopback address" in refused(environ, *options)[1]
    upgrade_to(old, "0007")
    with closing(open_store(old)) as database:
        TokenStore(database).add("ci", Role.VIEWER, "test")

    code, said = refused(environ, *options)

    assert (code, "port: 99999" in said) == (2, True)


def test_a_fleet_that_comes_up_where_tokens_are_has_one_of_its_own_to_ask_with(home: Path) -> None:
    settings = load_settings(environment(home, "redis://127.0.0.1:1"))
    assert able_to_ask(settings) is settings
    scriptfleet("token", "add", "ci", "--role", "viewer", home=home)

    able = able_to_ask(settings)

    assert (len(able.api_token), able._replace(api_token="")) == (64, settings)
    assert able_to_ask(able) is able
