"""The Compose file holds together: its schema, and what hangs together by name."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml

from services.process import STOP_SECONDS
from tests.deploy.files import DEPLOY, compose, filled, read_yaml

_SCHEMA = Path(__file__).parent / "schemas" / "compose-spec.json"
_ROLES = ("api", "relay", "consume")


def test_every_yaml_and_json_file_can_be_read() -> None:
    """No file is broken where only the program that reads it would tell."""
    read = 0
    for file in sorted(DEPLOY.rglob("*")):
        if file.suffix in (".yaml", ".yml") and "templates" not in file.parts:
            list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
            read += 1
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
            read += 1
    assert read > 8


def test_it_is_what_the_compose_specification_allows() -> None:
    """Compose refuses a file with a misspelt key; so does this."""
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(compose())


def test_what_is_named_is_there() -> None:
    """Volumes, networks, secrets, dependencies and files of the repository that a service names exist."""
    file = compose()
    for name, service in file["services"].items():
        assert set(service.get("secrets", ())) <= file["secrets"].keys(), name
        assert set(service["networks"]) <= file["networks"].keys(), name
        assert service.get("depends_on", {}).keys() <= file["services"].keys(), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in file["volumes"], name


def test_secrets_are_mounted_where_the_settings_look_for_them() -> None:
    """A container finds each file that its environment names."""
    for name, service in compose()["services"].items():
        for value in service.get("environment", {}).values():
            if str(value).startswith("/run/secrets/"):
                assert Path(value).name in service["secrets"], name


def test_nothing_but_the_front_and_grafana_is_reached_from_outside() -> None:
    """Databases, brokers, services and Prometheus have no port on the host, and no way out of their network."""
    file = compose()
    assert file["networks"]["inside"] == {"internal": True}
    for name, service in file["services"].items():
        open_to_all = name in ("front", "grafana")
        assert ("ports" in service) == open_to_all, name
        assert ("outside" in service["networks"]) == open_to_all, name
    assert "127.0.0.1" in filled({"front": file["services"]["front"]["ports"][0]})["front"]


def test_processes_wait_for_databases_and_topics() -> None:
    """Nothing serves before its database is migrated and the topics are there."""
    for name, service in compose()["services"].items():
        if service.get("command", [""])[0] in _ROLES:
            own = service["command"][1]
            needed = {f"{own}-migrate", "topics"}
            assert service["depends_on"] == {one: {"condition": "service_completed_successfully"} for one in needed}, (
                name
            )


def test_every_container_is_bounded_watched_and_without_rights() -> None:
    """None takes the whole machine, hangs unseen, or is more than it needs to be."""
    for name, service in compose()["services"].items():
        assert {"mem_limit", "cpus"} <= service.keys(), name
        assert "healthcheck" in service or _checked_by_its_image(service), name
        assert service["restart"] in ("unless-stopped", "on-failure:5"), name
        if name not in ("postgres", "kafka"):  # their images set up their folders as root or write beside them
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name


def test_processes_may_finish_when_they_are_stopped() -> None:
    """Compose kills nobody who is still draining."""
    for name, service in compose()["services"].items():
        if service.get("command", [""])[0] in (*_ROLES, "console"):
            drain = float(service["environment"]["AFTERSALES_DRAIN_SECONDS"])
            assert drain + STOP_SECONDS < float(service["stop_grace_period"].removesuffix("s")), name


def test_images_are_pinned() -> None:
    """Tomorrow's `docker compose up` starts what today's did."""
    for name, service in compose()["services"].items():
        tag = filled({"image": service["image"]})["image"].rpartition(":")[2]
        assert tag.count(".") >= 1, name
        assert "latest" not in tag, name


def test_grafana_is_provisioned_with_files_that_are_mounted() -> None:
    """The dashboard is there at the first start, and asks the data source that is there."""
    provider = read_yaml(DEPLOY / "grafana/provisioning/dashboards/aftersales.yaml")["providers"][0]
    service = compose()["services"]["grafana"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in service["volumes"]
    source = read_yaml(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    dashboard = json.loads((DEPLOY / "grafana/dashboards/aftersales.json").read_text(encoding="utf-8"))
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel} == {source["uid"]}


def _checked_by_its_image(service: dict[str, Any]) -> bool:
    """Our image brings its own health check."""
    return "aftersales" in service["image"]
