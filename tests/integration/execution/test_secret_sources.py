"""Where secrets come from: real variables, files, programs and installed packages."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.config import Settings, load_settings
from scriptfleet.domain.state import State
from scriptfleet.errors import EngineFailed, InvalidValue
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.secret import SecretChain, SecretMissing, secrets_of
from scriptfleet.execution.secret_sources.command import CommandSecrets
from scriptfleet.execution.secret_sources.folder import FolderSecrets
from scriptfleet.execution.secret_sources.installed import InstalledSecrets
from tests.engine_bench import Bench
from tests.eventually import eventually


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    program = tmp_path / "vault client.py"
    program.write_text(
        f"#!{sys.executable}\nimport sys, time\nname = sys.argv[-1]\n"
        "if name == 'SLOW': time.sleep(60)\n"
        "if name == 'GONE': print('noise'); sys.exit(3)\n"
        "print(f'{sys.argv[1:]}')\n"
    )
    program.chmod(0o700)
    return program


def test_secrets_are_looked_for_in_the_environment_then_the_folder_then_the_command(
    tmp_path: Path, vault: Path
) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("ONE", "TWO"):
        (folder / name).write_text("of the folder\n")
    settings = load_settings(
        {
            "SCRIPTFLEET_HOME": str(tmp_path),
            "SCRIPTFLEET_SECRET_ONE": "of the environment",
            "SCRIPTFLEET_SECRET_PREFIXES": "vault_, my",
            "SCRIPTFLEET_SECRETS_DIR": str(folder),
            "SCRIPTFLEET_SECRETS_COMMAND": f"'{vault}' get --raw",
        }
    )

    assert settings.secret_prefixes == ("VAULT_", "MY")
    assert secrets_of(settings).fetch(["ONE", "TWO", "THREE"]) == {
        "ONE": "of the environment",
        "TWO": "of the folder",
        "THREE": "['get', '--raw', 'THREE']",
    }
    with pytest.raises(SecretMissing) as caught:
        secrets_of(settings).fetch(["GONE"])
    for place in ("SCRIPTFLEET_SECRET_GONE", str(folder / "GONE"), "vault client.py"):
        assert place in str(caught.value)
    assert settings.secrets == {"ONE": "of the environment"}


def test_a_secret_that_changes_is_seen_by_the_next_run(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "TOKEN").write_text("first value")
    bench = Bench(engine, tmp_path / "runs", secrets=SecretChain(FolderSecrets(tmp_path)))
    (tmp_path / "runs").mkdir()
    command = 'test "$TOKEN" = "second value"'

    assert bench.shell(command, secrets=["TOKEN"]).outcome is State.FAILED
    (tmp_path / "TOKEN").write_text("second value")
    assert bench.shell(command, secrets=["TOKEN"]).outcome is State.SUCCEEDED


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"x", "x"), (b"x\n", "x"), (b"x\r\n", "x"), (b"x\n\n", "x\n"), (b"a\nb\n", "a\nb"), (b"", ""), (b"x\r", "x\r")],
)
def test_one_line_break_at_the_end_of_a_file_is_no_part_of_the_secret(
    tmp_path: Path, content: bytes, value: str
) -> None:
    (tmp_path / "X").write_bytes(content)

    assert FolderSecrets(tmp_path).get("X") == value


def test_links_inside_the_folder_are_followed_as_container_platforms_make_them(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "X").write_text("value")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "X").symlink_to("..data/X")

    assert FolderSecrets(tmp_path).get("X") == "value"


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (tmp_path / "OUTSIDE").write_text("not for jobs")
    (folder / "LINK").symlink_to(tmp_path / "OUTSIDE")

    for name in ("LINK", "../OUTSIDE", str(tmp_path / "OUTSIDE"), "..", "."):
        with pytest.raises(EngineFailed, match="outside"):
            FolderSecrets(folder).get(name)


def test_what_is_no_plain_file_is_not_there(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "PIPE")
    (tmp_path / "FOLDER").mkdir()

    for folder, name in ((tmp_path, "PIPE"), (tmp_path, "FOLDER"), (tmp_path, "NOPE"), (tmp_path / "nope", "X")):
        assert FolderSecrets(folder).get(name) is None


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "X").write_bytes(b"\xff\xfe")

    with pytest.raises(EngineFailed, match="UTF-8"):
        FolderSecrets(tmp_path).get("X")


@pytest.mark.parametrize(("value", "why"), [("a\0b", "NUL"), ("x" * 140_000, "longer than")])
def test_what_no_variable_can_hold_is_refused_without_being_shown(
    engine: Engine, tmp_path: Path, value: str, why: str
) -> None:
    record = Bench(engine, tmp_path, secrets={"X": value}).shell("true", secrets=["X"])

    assert record.outcome is State.REJECTED
    assert why in (record.usage.error_message or "")
    assert value not in (record.usage.error_message or "")


def test_no_shell_reads_the_command_or_the_name(tmp_path: Path) -> None:
    chain = CommandSecrets(["printf", "%s|%s", "$HOME; touch x"])

    assert chain.get("NAME") == "$HOME; touch x|NAME"
    assert not Path("x").exists()


def test_a_command_that_gives_no_answer_is_ended_with_all_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    slow = CommandSecrets(["sh", "-c", f"sleep 300 & echo $! > {mark}; wait"], patience_seconds=0.5)
    began = time.monotonic()

    with pytest.raises(EngineFailed, match=r"no answer for secret X within 0\.5 s"):
        slow.get("X")

    assert time.monotonic() - began < 5
    eventually(lambda: not Path("/proc", mark.read_text().strip()).exists() or _is_zombie(mark.read_text().strip()))


def _is_zombie(pid: str) -> bool:
    return " Z " in Path("/proc", pid, "stat").read_text()


def test_a_command_that_cannot_be_run_rejects_the_run_and_names_the_setting(engine: Engine, tmp_path: Path) -> None:
    bench = Bench(engine, tmp_path, secrets=SecretChain(CommandSecrets([str(tmp_path / "nope")])))
    record = bench.shell("true", secrets=["X"])

    assert record.outcome is State.REJECTED
    assert "SCRIPTFLEET_SECRETS_COMMAND" in (record.usage.error_message or "")


def install(folder: Path, source: str, value: str = "acme_vault:Vault") -> None:
    (folder / "acme_vault.py").write_text(source)
    info = folder / "acme_vault-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-vault\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[scriptfleet.secrets]\nacme = {value}\n")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("acme_vault", None)


def test_an_installed_package_can_bring_a_provider(packages: Path) -> None:
    install(packages, "class Vault:\n    def get(self, name):\n        return {'X': 'of acme', 'N': 7}.get(name)\n")

    assert InstalledSecrets().get("X") == "of acme"
    assert InstalledSecrets().get("Y") is None
    with pytest.raises(EngineFailed, match="gave int"):
        InstalledSecrets().get("N")
    with pytest.raises(SecretMissing, match=r"the provider acme \(acme_vault:Vault\)"):
        secrets_of(Settings(home=packages)).fetch(["Y"])


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("import nope_nope", "acme_vault:Vault"),
        ("", "acme_vault:Vault"),
        ("Vault = dict.fromkeys", "acme_vault:Vault"),
        ("class Vault: pass", "acme_vault:Vault"),
    ],
)
def test_a_provider_that_cannot_be_had_is_named(packages: Path, source: str, value: str) -> None:
    install(packages, source, value)

    with pytest.raises(EngineFailed, match="provider acme"):
        InstalledSecrets().get("X")


@pytest.mark.parametrize(
    ("name", "value"), [("SCRIPTFLEET_SECRETS_COMMAND", "vault 'get"), ("SCRIPTFLEET_ALLOW_LOADER_ENV", "maybe")]
)
def test_a_setting_that_cannot_be_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidValue, match=name):
        load_settings({name: value})
