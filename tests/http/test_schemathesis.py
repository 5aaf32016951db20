"""The API keeps what its document says, whatever is sent."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.schemas import APIOperation

from services.openapi import FILE
from services.operations import feed
from tests.http.server import Server

load_all_checks()
#: Left out: what fits the schema may still be refused by a rule of the business (`positive_data_acceptance`), and what
#: needs several requests in a row is for `test_walk.py`.
CHECKED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "missing_required_header",
        "unsupported_method",
        "ignored_auth",
    ]
)
#: A stale version or too long a body may be seen before what is wrong with the fields.
_REFUSED = ["400", "401", "403", "404", "409", "412", "413", "415", "422"]
_CONFIG = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": _REFUSED}}})
#: A clock that is set at random would end every token; `test_operations.py` sets it.
DOCUMENT = schemathesis.openapi.from_path(FILE, config=_CONFIG).exclude(path="/v1/clock")
#: One that the document describes wrongly ends this here.
OPERATIONS = [found.ok() for found in DOCUMENT.get_all_operations()]  # type: ignore[union-attr]
_keys = count(1)


@pytest.fixture(scope="module")
def known(server: Server) -> Iterator[dict[str, str]]:
    """Things that exist, for every second address. Nobody waits for events here."""
    order = server.order()
    case = server.case("exchange_request", order_id=order)
    with pytest.MonkeyPatch.context() as impatient:
        impatient.setattr(feed, "WAIT_SECONDS", 0.1)
        yield {"order_id": order, "case_id": case, "sku": "LOCK-A1", "service": "cases"}


def _aim(case: Case[Any], known: dict[str, str], key: int) -> None:
    """Point a well-formed request at something that exists, so that rules are reached, under a key of its own."""
    if key % 2:
        for name in case.path_parameters:
            case.path_parameters[name] = known.get(name, case.path_parameters[name])
        if isinstance(case.body, dict) and "order_id" in case.body:
            case.body["order_id"] = known["order_id"]
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f"fuzz-{key}"


@settings(
    max_examples=3,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def _ask(case: Case[Any], server: Server, known: dict[str, str]) -> None:
    assert case.meta is not None
    if case.meta.generation.mode is GenerationMode.POSITIVE:
        _aim(case, known, next(_keys))
    case.call_and_validate(
        base_url=f"http://{server.address}",
        headers={"Authorization": f"Bearer {server.token('store_manager')}"},
        checks=CHECKED,  # type: ignore[arg-type]
        timeout=20,
    )


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_the_document_is_kept(
    operation: APIOperation[Any, Any, Any, Any], server: Server, known: dict[str, str]
) -> None:
    """No fault inside, only described statuses, headers and bodies; what breaks the schema is refused."""
    # Built here and not by `DOCUMENT.parametrize`: that makes up all requests while tests are collected, in every
    # worker, and gives all operations the same name, of which `--dist` runs one.
    ask = build_operation_test(
        config=DOCUMENT.config, operation=operation, test_func=_ask, given_kwargs={}, feedback=FeedbackSources()
    )
    ask(server=server, known=known)
