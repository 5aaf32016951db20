"""The chart, as Helm renders it with the least and with everything that can be said."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from services.catalogue import SERVICES
from services.kernel.http.app import OPEN_PATHS
from services.kernel.settings import Settings
from services.process import ROLES, STOP_SECONDS
from tests.deploy.files import CHART, RENDERED, read_yaml, rendered
from tests.deploy.rendering import NAMES, heading, render

pytestmark = pytest.mark.parametrize("values", NAMES)


def _pods(values: str, *kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in rendered(values):
        if one["kind"] in (kinds or ("Deployment", "Job")):
            yield one["metadata"]["name"], one["spec"]["template"]


def test_what_is_looked_at_is_the_chart(values: str) -> None:
    """The kept rendering is of this chart: change it, and `python -m tests.deploy.rendering` renders it anew."""
    kept = (RENDERED / f"{values}.yaml").read_text(encoding="utf-8")
    assert kept.splitlines()[0] == heading()
    if shutil.which("helm"):
        assert kept == render(values)


def test_values_fit_their_schema(values: str) -> None:
    """Helm refuses values that are misspelt, and takes those that the chart documents."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    given = _merged(read_yaml(CHART / "values.yaml"), read_yaml(CHART / "ci" / f"{values}-values.yaml"))
    jsonschema.Draft7Validator(schema).validate(given)
    for secret in ("AFTERSALES_TOKEN_SECRET", "AFTERSALES_KAFKA_PASSWORD", "AFTERSALES_DATABASE_URL"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft7Validator(schema).validate(_merged(given, {"settings": {secret: "secret"}}))


def test_every_service_is_deployed_in_every_role(values: str) -> None:
    """Roles are scaled apart, and none is forgotten."""
    deployed = {name for name, _ in _pods(values, "Deployment")}
    expected = {f"shop-aftersales-{service}-{role}" for service in SERVICES for role in ROLES.keys() - {"all"}}
    assert deployed == expected | {"shop-aftersales-console", "shop-aftersales-front"}


def test_pods_have_no_rights_and_no_bounds_are_missing(values: str) -> None:
    """Pods pass the restricted standard of Kubernetes, and none takes a whole node's memory."""
    for name, pod in _pods(values):
        spec, container = pod["spec"], pod["spec"]["containers"][0]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert "memory" in container["resources"]["limits"], name


def test_pods_are_not_told_of_services_by_environment(values: str) -> None:
    """Kubernetes would set AFTERSALES_CASES_API_PORT and the like, and an unknown setting ends a process."""
    for name, pod in _pods(values):
        assert pod["spec"]["enableServiceLinks"] is False, name


def test_probes_ask_what_answers_without_identity(values: str) -> None:
    """A hanging process is ended, one that cannot serve gets no requests, and a slow start is neither."""
    for name, pod in _pods(values, "Deployment"):
        container = pod["spec"]["containers"][0]
        asked = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
        assert set(asked.values()) <= OPEN_PATHS, name
        assert asked["liveness"] == "/healthz", name
        assert asked["readiness"] == ("/healthz" if name.endswith("-front") else "/readyz"), name


def test_pods_may_finish_when_they_are_stopped(values: str) -> None:
    """Kubernetes kills nobody who is still draining."""
    for name, pod in _pods(values, "Deployment"):
        for variable in pod["spec"]["containers"][0].get("env", ()):
            if variable["name"] == "AFTERSALES_DRAIN_SECONDS":
                grace = pod["spec"]["terminationGracePeriodSeconds"]
                assert float(variable["value"]) + STOP_SECONDS < grace, name


def test_migrations_run_before_the_new_release_and_need_nothing_of_it(values: str) -> None:
    """Hooks come before the release's own objects, so they name none of them."""
    own = {one["metadata"]["name"] for one in rendered(values) if one["kind"] in ("ConfigMap", "ServiceAccount")}
    jobs = [one for one in rendered(values) if one["kind"] == "Job"]
    assert len(jobs) == len(SERVICES) + 1
    for job in jobs:
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert not own & set(_strings(job["spec"]))
    weights = {job["metadata"]["name"]: int(job["metadata"]["annotations"]["helm.sh/hook-weight"]) for job in jobs}
    assert max(weights, key=lambda name: weights[name]) == "shop-aftersales-topics"


def test_mounts_and_files_that_settings_name_agree(values: str) -> None:
    """A process finds each file that its environment names, and every mount has its volume."""
    for name, pod in _pods(values):
        spec, container = pod["spec"], pod["spec"]["containers"][0]
        assert {mount["name"] for mount in container["volumeMounts"]} == {one["name"] for one in spec["volumes"]}, name
        files = {
            f"/run/secrets/aftersales/{item['path']}"
            for volume in spec["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
            for item in next(iter(source.values()))["items"]
        }
        named = {one["value"] for one in container.get("env", ()) if one["value"].startswith("/run/secrets/")}
        assert named == files, name


def test_an_upgrade_adds_no_consumer(values: str) -> None:
    """A consumer beyond the number of partitions has none and is not ready; an upgrade that waits for it never ends."""
    for one in rendered(values):
        if one["kind"] == "Deployment":
            added = one["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
            assert added == (0 if one["metadata"]["name"].endswith(("-consume", "-relay")) else 1)
        if one["kind"] == "HorizontalPodAutoscaler" and one["metadata"]["name"].endswith("-consume"):
            assert one["spec"]["maxReplicas"] <= _partitions(values)


def test_selectors_find_their_pods(values: str) -> None:
    """Every Service, budget and scaler is of exactly one Deployment."""
    deployments = {name: pod["metadata"]["labels"] for name, pod in _pods(values, "Deployment")}
    for one in rendered(values):
        if one["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            spec = one["spec"]
            selector = spec.get("podSelector", spec.get("selector"))
            wanted = selector.get("matchLabels", selector).items()
            assert [name for name, labels in deployments.items() if wanted <= labels.items()] == [
                one["metadata"]["name"]
            ]
        if one["kind"] == "HorizontalPodAutoscaler":
            assert one["spec"]["scaleTargetRef"]["name"] in deployments


def test_links_are_good_once_wherever_they_are_opened(values: str) -> None:
    """A pod knows of the links that were used with it only; more than one is deployed with a provider."""
    (console,) = (
        one
        for one in rendered(values)
        if one["metadata"]["name"] == "shop-aftersales-console" and one["kind"] == "Deployment"
    )
    given = {one["name"] for one in console["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert console["spec"]["replicas"] == 1 or "AFTERSALES_OIDC_ISSUER" in given


def test_services_may_be_asked_by_the_front_and_the_console(values: str) -> None:
    """Where the network is closed, pages still get their answers."""
    for one in rendered(values):
        if one["kind"] == "NetworkPolicy" and one["metadata"]["name"].endswith("-api"):
            asks = [
                peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
                for peer in one["spec"]["ingress"][0]["from"]
            ]
            assert asks == ["front", "console"]


def _partitions(values: str) -> int:
    given = read_yaml(CHART / "ci" / f"{values}-values.yaml")["settings"]
    default: int = Settings.model_fields["kafka_partitions"].default
    return int(given.get("AFTERSALES_KAFKA_PARTITIONS", default))


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Values over values, as Helm lays them: maps are merged, all else is replaced."""
    both = {
        name: _merged(base[name], value) if isinstance(value, dict) and isinstance(base.get(name), dict) else value
        for name, value in over.items()
    }
    return {**base, **both}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, str):
        yield value
