"""Whoever stands in front of the services sends each request to the one that answers it."""

import re

import pytest

from services.catalogue import SERVICES
from services.routing import elsewhere, routes, service_of


@pytest.mark.parametrize(
    ("method", "path", "service"),
    [
        ("PUT", "/v1/orders/TB1001", "cases"),
        ("GET", "/v1/cases/TB1001-1", "cases"),
        ("GET", "/v1/cases/TB%2F1-1", "cases"),
        ("POST", "/v1/cases/TB1001-1/retry-payout", "refunds"),
        ("GET", "/v1/cases/TB1001-1/settlement", "refunds"),
        ("POST", "/v1/gateway/callbacks", "refunds"),
        ("POST", "/v1/cases/TB1001-1/record-recovery", "liability"),
        ("GET", "/v1/charges", "liability"),
        ("POST", "/v1/operations", "cases"),
        ("POST", "/v1/operations/20261005T020000000000Z-refunds-verify/cancel", "cases"),
    ],
)
def test_request_finds_its_service(method: str, path: str, service: str) -> None:
    """Commands on one case go to three services, by their names."""
    assert service_of(method, path) == service


def test_unknown_request_finds_nobody() -> None:
    """A path that no service has, or only with another method or fewer parts, is nobody's."""
    for method, path in (
        ("GET", "/v1/nothing"),
        ("DELETE", "/v1/cases/TB1-1"),
        ("GET", "/v1/cases/TB1-1/settlement/x"),
    ):
        with pytest.raises(LookupError):
            service_of(method, path)
        assert elsewhere(method, path) == ""


def test_no_two_services_answer_the_same() -> None:
    """It does not matter in which order a front tries the services: no path fits two of them."""
    for one in routes():
        example = re.sub(r"\{[^}]*\}", "x", one.path)
        assert service_of(one.method, example) == one.service, one
    assert {one.service for one in routes()} == set(SERVICES)
