"""The front sends every address to the service that answers it, and pages to the console."""

import re
from collections.abc import Mapping
from typing import Final

import pytest

from services.catalogue import SERVICES
from services.console.pages.case.live import WAIT_SECONDS
from services.routing import routes
from tests.deploy.files import CHART, DEPLOY, compose, rendered

#: Addresses of the console.
PAGES: Final = ("/", "/console", "/console/", "/console/cases/TB1-1/live", "/console/static/console.css")

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


def test_every_route_of_a_service_leads_to_it() -> None:
    """A new command or list is not answered with “not found” because the front sends it elsewhere."""
    rows = _rows()
    assert {route.service for route in routes()} == SERVICES.keys()
    for route in routes():
        found = _matching(rows, _filled(route.path))
        assert len(found) == 1, f"{route.path} falls under {found}"
        assert rows[found[0]] == route.service, route.path


def test_pages_and_what_leads_there_are_the_consoles() -> None:
    """People who enter nothing but the host's name get to their work."""
    rows = _rows()
    for path in PAGES:
        assert [rows[row] for row in _matching(rows, path)] == ["console"], path
    assert "console" not in {rows[row] for row in _matching(rows, "/consoles")}


def test_every_row_of_the_table_is_for_something() -> None:
    """The table holds no row for an address that is gone."""
    rows = _rows()
    paths = [*map(_filled, (route.path for route in routes())), *PAGES]
    used = {row for path in paths for row in _matching(rows, path)}
    assert rows.keys() == used
    for row in set(rows) - {row for path in PAGES for row in _matching(rows, path)}:  # of alternatives, each
        for words in re.findall(r"\(([^)]*)\)", row):
            for word in words.split("|"):
                assert any(path.endswith(f"/{word}") for path in paths), word


def _filled(path: str) -> str:
    """A route's address with its ids filled in."""
    return re.sub(r"\{\w+\}", "TB1-1", path)


def test_the_front_runs_the_same_table_everywhere() -> None:
    """Compose and Kubernetes route alike, to addresses that exist there."""
    mounted = compose()["services"]["front"]["volumes"]
    for name in ("nginx.conf", "routes.conf"):
        assert f"./helm/aftersales/files/{name}:/etc/nginx/{name}:ro" in mounted
        for values in ("minimal", "full"):
            config = next(one for one in rendered(values) if one["kind"] == "ConfigMap")
            assert config["data"][name].strip() == (_FILES / name).read_text(encoding="utf-8").strip()
    named = _upstreams((DEPLOY / "front" / "upstreams.conf").read_text(encoding="utf-8"))
    assert named == {**{service: f"{service}-api" for service in SERVICES}, "console": "console"}
    assert set(named.values()) <= compose()["services"].keys()


@pytest.mark.parametrize("values", ["minimal", "full"])
def test_the_front_of_the_chart_names_services_of_the_chart(values: str) -> None:
    """nginx does not start with an upstream that has no address."""
    objects = rendered(values)
    config = next(one for one in objects if one["kind"] == "ConfigMap")
    named = _upstreams(config["data"]["upstreams.conf"])
    assert named.keys() == {*SERVICES, "console"}
    assert set(named.values()) <= {one["metadata"]["name"] for one in objects if one["kind"] == "Service"}


def test_a_live_page_hears_of_changes_as_they_happen() -> None:
    """What is told on a stream is not held back by the front, and it is not broken off between two signs of life."""
    text = (_FILES / "nginx.conf").read_text(encoding="utf-8")
    found = re.search(r"location ~ (\S*live\S*) \{([^}]*)\}", text)
    assert found is not None
    assert re.search(found[1], "/console/cases/TB1-1/live")
    assert "proxy_buffering off;" in found[2]
    patience = re.search(r"proxy_read_timeout (\d+)s;", text)
    assert patience is not None
    assert int(patience[1]) > 2 * WAIT_SECONDS


def _upstreams(text: str) -> dict[str, str]:
    return dict(re.findall(r"upstream (\w+) \{[^}]*?server ([\w-]+):8080", text))
