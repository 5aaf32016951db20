"""The image: pinned, small, nobody's root."""

import re
from pathlib import Path

from tests.deploy.files import DEPLOY

_ROOT = DEPLOY.parent
_PIN = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", re.MULTILINE)
_DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def _pins(lock: Path) -> dict[str, str]:
    return dict(_PIN.findall(lock.read_text(encoding="utf-8")))


def test_the_image_runs_what_was_tested() -> None:
    """Every dependency of the image has the version that the tests run with, and none is there for tests only."""
    tested, shipped = _pins(_ROOT / "requirements.lock"), _pins(DEPLOY / "requirements.lock")
    assert shipped
    assert shipped.items() <= tested.items()
    assert not {"pytest", "mypy", "ruff", "hypothesis", "schemathesis"} & shipped.keys()


def test_every_dependency_of_the_package_is_in_the_image() -> None:
    """The image does not end at an import."""
    project = (_ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = re.search(r"^dependencies = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    assert wanted is not None
    names = {_normal(name) for name in re.findall(r'"([\w.-]+)', wanted[1])}
    assert names <= {_normal(name) for name in _pins(DEPLOY / "requirements.lock")}


def test_it_is_built_from_pinned_things() -> None:
    """Two builds of one commit hold the same."""
    base = re.findall(r"^ARG PYTHON=(\S+)$", _DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base[0])
    assert set(re.findall(r"^FROM (\S+)", _DOCKERFILE, re.MULTILINE)) == {"${PYTHON}"}
    assert "--require-hashes" in _DOCKERFILE
    assert "--no-deps --no-build-isolation" in _DOCKERFILE


def test_it_does_not_run_as_root() -> None:
    """By number, so that Kubernetes can tell before it starts."""
    user = re.findall(r"^USER (\S+)$", _DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user[-1])


def test_only_what_it_is_made_of_is_sent_to_the_build() -> None:
    """No secret, database or history of this folder gets into a layer, and nothing that is copied is kept out."""
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", _DOCKERFILE, re.MULTILINE)
        for source in line.split()
    }
    assert copied == let_in
    assert all((_ROOT / source).exists() for source in let_in)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
