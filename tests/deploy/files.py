"""The files under `deploy/`, read the way their programs read them."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "aftersales"
RENDERED = Path(__file__).parent / "rendered"


def read_yaml(file: Path) -> Any:
    """The one document of a file."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


@cache
def rendered(name: str) -> list[dict[str, Any]]:
    """Every object of the chart as Helm rendered it with `ci/{name}-values.yaml`."""
    text = (RENDERED / f"{name}.yaml").read_text(encoding="utf-8")
    return [one for one in yaml.safe_load_all(text) if one]


@cache
def compose() -> dict[str, Any]:
    """The Compose file, its anchors resolved."""
    file: dict[str, Any] = read_yaml(DEPLOY / "compose.yaml")
    return file


def own_containers() -> Iterator[tuple[str, list[str], Mapping[str, str]]]:
    """Every container of ours, of Compose and of the rendered chart: its name, command and environment."""
    for name, service in compose()["services"].items():
        if "aftersales" in service["image"] and "entrypoint" not in service:
            yield f"compose {name}", service["command"], filled(service["environment"])
    for values in ("minimal", "full"):
        for one in rendered(values):
            if one["kind"] in ("Deployment", "Job"):
                container = one["spec"]["template"]["spec"]["containers"][0]
                if "args" in container:
                    given = {variable["name"]: variable["value"] for variable in container["env"]}
                    yield f"{values} {one['metadata']['name']}", container["args"], given


def filled(environment: Mapping[str, str]) -> dict[str, str]:
    """Values with `${NAME:-default}` taken at their defaults."""
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in environment.items()}
