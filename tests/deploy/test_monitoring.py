"""Alerts and the dashboard speak of metrics that there are, with labels that they have."""

import json
import re
import sys
from collections.abc import Iterator, Mapping

import pytest
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from services.catalogue import SERVICES
from tests.deploy.files import DEPLOY, compose, read_yaml, rendered

#: What the scrape adds to every metric.
_OF_TARGETS = frozenset({"job", "instance", "service", "role"})
#: Metrics that are not the application's: of Prometheus itself, and of every Python process.
_FOREIGN: Mapping[str, frozenset[str]] = {
    "up": frozenset(),
    "ALERTS": frozenset({"alertname", "alertstate"}),
    "process_resident_memory_bytes": frozenset(),
    "process_cpu_seconds_total": frozenset(),
}
_SELECTED = re.compile(r"\b([a-zA-Z_][a-zA-Z0-9_]*)\{([^}]*)\}")
_NAMED = re.compile(r"\b(aftersales_[a-z_]+)\b")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


def _metrics() -> dict[str, frozenset[str]]:
    """Every series of the application by name, with its labels."""
    assert SERVICES  # importing them declares their metrics
    found: dict[str, frozenset[str]] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("services."):
            for value in list(vars(module).values()):
                metric = getattr(value, "gauge", value)
                if isinstance(metric, MetricWrapperBase):
                    found |= _series(metric)
    return found


def _series(metric: MetricWrapperBase) -> dict[str, frozenset[str]]:
    labels = frozenset(metric._labelnames)
    (family,) = metric.describe()
    if isinstance(metric, Histogram):
        name = family.name
        return {f"{name}_bucket": labels | {"le"}, f"{name}_count": labels, f"{name}_sum": labels}
    return {f"{family.name}_total" if family.type == "counter" else family.name: labels}


def _alerts() -> list[dict[str, dict[str, str]]]:
    groups = read_yaml(DEPLOY / "prometheus" / "alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _dashboard() -> Iterator[tuple[str, str]]:
    dashboard = json.loads((DEPLOY / "grafana/dashboards/aftersales.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def _queries() -> list[tuple[str, str]]:
    return [*((str(rule["alert"]), str(rule["expr"])) for rule in _alerts()), *_dashboard()]


@pytest.mark.parametrize(("name", "query"), _queries())
def test_queries_name_metrics_and_labels_that_there_are(name: str, query: str) -> None:
    """No panel stays empty and no alert silent because a metric was renamed."""
    known = {**_metrics(), **_FOREIGN}
    named = set(_NAMED.findall(query)) | {metric for metric, _ in _SELECTED.findall(query)}
    named -= {"by"}
    assert named, "a query without a metric"
    assert named <= known.keys()
    for metric, matchers in _SELECTED.findall(query):
        assert set(re.findall(r"(\w+)\s*(?:=|!)", matchers)) <= known[metric] | _OF_TARGETS
    labels = frozenset().union(*(known[one] for one in named)) | _OF_TARGETS
    for group in _GROUPED.findall(query):
        assert set(re.split(r",\s*", group)) <= labels


def test_every_metric_is_shown() -> None:
    """What is measured is looked at: on the dashboard, and where it means trouble in an alert."""
    shown = {metric for _, query in _dashboard() for metric in _NAMED.findall(query)}
    assert {one for one in _metrics() if not one.endswith("_sum")} == shown


def test_alerts_say_what_is_wrong_and_what_to_do_in_both_languages() -> None:
    """Whoever is woken can read it."""
    for rule in _alerts():
        notes = rule["annotations"]
        assert notes.keys() == {"summary_zh", "summary_en", "runbook"}, rule["alert"]
        assert re.search(r"[\u4e00-\u9fff]", notes["summary_zh"]), rule["alert"]
        assert not re.search(r"[\u4e00-\u9fff]", notes["summary_en"]), rule["alert"]
        assert re.search(r"[\u4e00-\u9fff].*[a-z]{3}", notes["runbook"]), rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]


def test_prometheus_looks_at_every_process() -> None:
    """No role of a service is without metrics, and each one that is gone altogether is missed."""
    (job,) = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    roles = {
        name
        for name, service in compose()["services"].items()
        if service.get("command", [""])[0] in ("api", "relay", "consume", "console")
    }
    assert set(job["dns_sd_configs"][0]["names"]) == roles
    gone = next(str(rule["expr"]) for rule in _alerts() if str(rule["alert"]) == "AftersalesRoleGone")
    missed = re.findall(r'absent\(.*service="(\w+)", role="(\w+)"', gone)
    assert {role if role == service else f"{service}-{role}" for service, role in missed} == roles


def test_the_chart_brings_the_same_alerts_under_the_same_labels() -> None:
    """Alerts and dashboard work on Kubernetes as they are."""
    objects = {one["kind"]: one for one in rendered("full")}
    assert objects["PrometheusRule"]["spec"] == read_yaml(DEPLOY / "prometheus" / "alerts.yml")
    (endpoint,) = objects["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
    assert {one["targetLabel"] for one in endpoint["relabelings"]} == {"job", "service", "role"}
