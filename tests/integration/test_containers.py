"""The container's files, as far as that can be told without a container engine: what they name is there and works."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from bothways.cli.main import main
from bothways.config import load
from tests.servers.sandbox import SandboxProcess
from tests.servers.shared import REPOSITORY, free_ports

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = dict(
    line.split("=", 1)
    for line in (REPOSITORY / "containers" / "example.env").read_text().splitlines()
    if line and not line.startswith("#")
)
SETTINGS = REPOSITORY / "containers" / "bothways.toml"
OURS = [name for name, service in SERVICES.items() if "build" in service]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, with lines joined."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def last(name: str) -> str:
    """What the instruction that counts says."""
    return [text for each, text in instructions() if each == name][-1]


def checks() -> dict[str, list[str]]:
    """Where → the health check that runs in our image."""
    found = {"Dockerfile": json.loads(last("HEALTHCHECK").partition("CMD ")[2])}
    found |= {name: SERVICES[name]["healthcheck"]["test"][1:] for name in OURS if "healthcheck" in SERVICES[name]}
    return found


def test_the_image_is_not_root_and_holds_only_what_was_locked() -> None:
    """Two stages; hashes are checked; what is copied is there and reaches the build; the program is ours."""
    stages = [text for name, text in instructions() if name == "FROM"]
    assert len(stages) == 2
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last("USER"))
    assert "--require-hashes" in DOCKERFILE
    allowed = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name, text in instructions():
        if name == "COPY" and "--from" not in text:
            sources = shlex.split(text)[:-1]
            assert all((REPOSITORY / each).exists() for each in sources)
            assert set(sources) <= set(allowed)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert json.loads(last("ENTRYPOINT"))[0] in project["scripts"]
    uninstalled = re.search(r"pip uninstall --yes (.*)", DOCKERFILE)
    assert uninstalled
    locked = (REPOSITORY / "requirements" / "run.txt").read_text()
    assert all(f"\n{name}==" in f"\n{locked}" for name in uninstalled[1].split() if name != "pip")
    for extra in ("kafka", "sentry"):
        (package,) = [re.split("[<>=]", each)[0] for each in project["optional-dependencies"][extra]]
        assert f"\n{package}==" in locked


@pytest.mark.parametrize("command", [json.loads(last("CMD")), *(SERVICES[name]["command"] for name in OURS)], ids=str)
def test_every_command_is_one_of_ours(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With options that it has: an unknown one is refused before the help is shown."""
    assert main([*command, "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out
    assert main([*command, "--no-such-option", "--help"]) == 2


@pytest.mark.parametrize("where", checks())
def test_every_health_check_tells_who_is_well(where: str, stripe_process: SandboxProcess) -> None:
    """It succeeds where somebody answers on its port, and fails where nobody does."""
    program, option, code = checks()[where]
    assert (program, option) == ("python", "-c")
    (address,) = re.findall(r"127\.0\.0\.1(?::|', )(\d+)", code)
    assert address == (last("EXPOSE") if where == "Dockerfile" else SERVICES[where]["command"][3].rpartition(":")[2])
    alive = stripe_process.url.rpartition(":")[2]
    (nobody,) = free_ports(1)
    for port, well in ((alive, True), (str(nobody), False)):
        path = "/dashboard/" if where == "Dockerfile" else "/healthz"
        asked = code.replace(address, port).replace("/healthz", path)
        done = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=False, timeout=60)
        assert (done.returncode == 0) == well, done.stderr


def test_compose_says_what_it_means() -> None:
    """What services depend on has a health check; files and volumes are there; nothing is open to other machines."""
    assert set(COMPOSE) == {"name", "services", "volumes"}
    named = set()
    for name, service in SERVICES.items():
        assert ("image" in service) != ("build" in service), name
        assert all(each.startswith("127.0.0.1:") for each in service.get("ports", []))
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy"
            assert "healthcheck" in SERVICES[other]
            assert how.get("required", True) == ("profiles" not in SERVICES[other])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (REPOSITORY / source).is_file()
                assert volume.endswith(":ro")
            else:
                named.add(source)
    assert named == set(COMPOSE["volumes"])
    assert all(SERVICES[name]["read_only"] and SERVICES[name]["cap_drop"] == ["ALL"] for name in OURS)
    mounted = SERVICES["bothways"]["volumes"][0].split(":")[1]
    assert f"BOTHWAYS_CONFIG={mounted}" in DOCKERFILE


def test_the_example_names_what_is_asked_for_and_holds_no_secret() -> None:
    """Every variable of both files, and no other; git keeps the real one out."""
    asked = set(re.findall(r"env:(\w+)", SETTINGS.read_text().partition("[catalogue]")[2]))
    asked |= set(re.findall(r"\$\{(\w+)", (REPOSITORY / "compose.yaml").read_text()))
    assert asked | {"COMPOSE_PROFILES"} == set(EXAMPLE)
    assert EXAMPLE["COMPOSE_PROFILES"] in SERVICES["stripe"]["profiles"]
    assert EXAMPLE["POSTGRES_PASSWORD"] in EXAMPLE["DATABASE_URL"]
    assert EXAMPLE["STRIPE_API_KEY"].startswith("sk_test_")
    assert SERVICES["bothways"]["env_file"] == ".env"
    assert "/.env" in (REPOSITORY / ".gitignore").read_text().splitlines()


def test_the_addresses_are_those_of_the_services() -> None:
    """The settings load with the example's values, and name hosts and ports that compose.yaml makes."""
    settings = load(SETTINGS, EXAMPLE)
    kafka = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].replace("PLAINTEXT", "kafka")
    assert settings.log.url == kafka
    host, _, port = settings.systems["stripe"].api_base.removeprefix("http://").partition(":")
    assert SERVICES[host]["command"][3].endswith(f":{port}")
    assert f"@postgres:5432/{SERVICES['postgres']['environment']['POSTGRES_DB']}" in EXAMPLE["DATABASE_URL"]
    assert "wal_level=logical" in SERVICES["postgres"]["command"]
    mounts = [each.split(":")[1] for each in SERVICES["bothways"]["volumes"]]
    assert str(settings.data) in mounts
    assert str(settings.http.listen.port) == last("EXPOSE")


def test_setup_works_with_the_settings_of_the_container(
    database: str,
    kafka_url: str,
    stripe_process: SandboxProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On real servers, with the table that the database starts with; only where they listen is another matter."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute((REPOSITORY / "containers" / "database.sql").read_bytes())
    here = {"DATABASE_URL": database, "KAFKA_URL": kafka_url, "STRIPE_API_BASE": stripe_process.url}
    for name, value in {**EXAMPLE, **here}.items():
        monkeypatch.setenv(name, value)
    prefix = f'prefix = "{database.rpartition("/")[2]}"\n'
    text = SETTINGS.read_text().replace("/var/lib/bothways", str(tmp_path)).replace("[log]\n", f"[log]\n{prefix}")
    (tmp_path / "bothways.toml").write_text(text)
    assert main(["--config", str(tmp_path / "bothways.toml"), "setup"]) == 0, capsys.readouterr().err
