"""Jars and archives, fetched with Maven, once, into a folder of the repository's cache."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.servers.shared import locked

DEPENDENCY = """\
    <dependency>
      <groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
    </dependency>
"""
POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>bothways.tests</groupId>
  <artifactId>fetched</artifactId>
  <version>1</version>
  <dependencies>
{}  </dependencies>
</project>
"""
MAVEN = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs", "-DincludeScope=runtime"]
COPY = ["mvn", "-q", "-B", "dependency:copy"]


def fetched(target: Path, dependencies: Sequence[str], unpack: Callable[[Path], Path] | None = None) -> Path:
    """The folder ``target`` with the jars of these (``group:artifact:version``) and of what they need.

    ``unpack`` may make another folder, beside the jars, of the one that it is given: that then is the target. Whoever
    comes first fetches; the others wait. Raises ``RuntimeError`` where Maven is missing or fails.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("a") as lock, locked(lock):
        if not target.exists():
            _fetch(target, dependencies, unpack)
    return target


def unpacked(target: Path, artifact: str) -> Path:
    """The folder ``target``, as the one folder in an archive (``group:artifact:version:tar.gz[:classifier]``)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("a") as lock, locked(lock):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent) as work:
                _run([*COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={work}"], Path(work), artifact)
                (archive,) = Path(work).glob("*.tar.gz")
                subprocess.run(["tar", "-xzf", archive, "-C", work], check=True)
                archive.unlink()
                next(Path(work).iterdir()).rename(target)
    return target


def _fetch(target: Path, dependencies: Sequence[str], unpack: Callable[[Path], Path] | None) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        wanted = "".join(DEPENDENCY.format(*each.split(":")) for each in dependencies)
        (Path(work) / "pom.xml").write_text(POM.format(wanted))
        _run(MAVEN, Path(work), ", ".join(dependencies))
        libraries = Path(work) / "libs"
        (unpack(libraries) if unpack else libraries).rename(target)


def _run(command: Sequence[str], work: Path, what: str) -> None:
    if not shutil.which("mvn"):
        raise RuntimeError(f"{what} is fetched with Maven, and mvn is not there: `make tools` installs it")
    done = subprocess.run(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Maven could not fetch {what}:\n{done.stdout[-3000:]}")
