"""The front sends every address to the service that answers it."""

import re
from collections.abc import Mapping

import pytest
from aiohttp import web

from services.catalogue import SERVICES
from tests.deploy.files import CHART, DEPLOY, compose, rendered

_FILES = CHART / "files"
_TABLE = re.search(r"map \$uri \$service \{(.*?)\n\}", (_FILES / "routes.conf").read_text(encoding="utf-8"), re.DOTALL)


def _rows() -> dict[str, str]:
    assert _TABLE is not None
    lines = (line.strip() for line in _TABLE[1].splitlines())
    return dict(re.findall(r"^(\S+)\s+(\w+);$", "\n".join(lines), re.MULTILINE))


def _matching(rows: Mapping[str, str], path: str) -> list[str]:
    """The rows that an address falls under, as nginx reads them: exact ones, then patterns, then the default."""
    exact = [row for row in rows if row == path]
    patterns = [row for row in rows if row.startswith("~") and re.search(row[1:], path)]
    return exact + patterns or ["default"]


def test_every_route_of_a_service_leads_to_it(routes: Mapping[str, list[web.RouteDef]]) -> None:
    """A new command or list is not answered with “not found” because the front sends it elsewhere."""
    rows = _rows()
    assert routes.keys() == SERVICES.keys()
    for service, own in routes.items():
        for route in own:
            found = _matching(rows, re.sub(r"\{\w+\}", "TB1-1", route.path))
            assert len(found) == 1, f"{route.path} falls under {found}"
            assert rows[found[0]] == service, route.path


def test_every_row_of_the_table_is_for_something(routes: Mapping[str, list[web.RouteDef]]) -> None:
    """The table holds no row for an address that is gone."""
    rows = _rows()
    paths = [re.sub(r"\{\w+\}", "TB1-1", route.path) for own in routes.values() for route in own]
    used = {row for path in paths for row in _matching(rows, path)}
    assert rows.keys() == used
    for row in rows:  # of alternatives, each
        for words in re.findall(r"\(([^)]*)\)", row):
            for word in words.split("|"):
                assert any(path.endswith(f"/{word}") for path in paths), word


def test_the_front_runs_the_same_table_everywhere() -> None:
    """Compose and Kubernetes route alike, to addresses that exist there."""
    mounted = compose()["services"]["front"]["volumes"]
    for name in ("nginx.conf", "routes.conf"):
        assert f"./helm/aftersales/files/{name}:/etc/nginx/{name}:ro" in mounted
        for values in ("minimal", "full"):
            config = next(one for one in rendered(values) if one["kind"] == "ConfigMap")
            assert config["data"][name].strip() == (_FILES / name).read_text(encoding="utf-8").strip()
    named = _upstreams((DEPLOY / "front" / "upstreams.conf").read_text(encoding="utf-8"))
    assert named == {service: f"{service}-api" for service in SERVICES}
    assert set(named.values()) <= compose()["services"].keys()


@pytest.mark.parametrize("values", ["minimal", "full"])
def test_the_front_of_the_chart_names_services_of_the_chart(values: str) -> None:
    """nginx does not start with an upstream that has no address."""
    objects = rendered(values)
    config = next(one for one in objects if one["kind"] == "ConfigMap")
    named = _upstreams(config["data"]["upstreams.conf"])
    assert named.keys() == SERVICES.keys()
    assert set(named.values()) <= {one["metadata"]["name"] for one in objects if one["kind"] == "Service"}


def _upstreams(text: str) -> dict[str, str]:
    return dict(re.findall(r"upstream (\w+) \{[^}]*?server ([\w-]+):8080", text))
