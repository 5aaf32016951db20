"""The API's description: complete, published, served from our own files, and not open to strangers."""

import asyncio
import json
from http.cookies import SimpleCookie
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from services.cases.domain.domain import CasesDomain
from services.cases.examples import EXAMPLES
from services.finance.http import corrections, periods, reconciliation
from services.liability import http as liability
from services.openapi import FILE, published
from services.refunds import http as refunds
from tests.http.server import Server

#: Commands whose bodies the border completes with what it computed.
COMPUTED = {"close_period", "reconcile"}
#: Commands that come as files.
OF_FILES = {"import_bill", "save_mapping"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_bytes())
    return found


def test_the_published_document_is_what_servers_say() -> None:
    """`contracts/openapi.json` is up to date (else: `python -m services.openapi`)."""
    assert FILE.read_bytes() == asyncio.run(published())


def test_every_route_is_described(server: Server, document: dict[str, Any]) -> None:
    """Nothing answers that the document does not know, except the page that shows it, and the pages of the console."""
    assert server.embedded._listener is not None
    router = server.embedded._listener._app.router
    routes = {
        (route.resource.canonical, route.method.lower())
        for route in router.routes()
        if route.resource is not None and route.method != "HEAD" and not _of_console(route.resource.canonical)
    }
    described = {(path, method) for path, item in document["paths"].items() for method in item}
    page = {("/docs", "get"), ("/docs/{file}", "get"), ("/docs/openapi.json", "get")}
    assert routes - page == described


def _of_console(path: str) -> bool:
    return path == "/" or path == "/console" or path.startswith("/console/")


def test_every_command_has_an_example_that_is_one(server: Server, document: dict[str, Any]) -> None:
    """Examples fit their command's schema and struct."""
    specs = {
        name: spec
        for one in server.embedded._running.values()
        for name, spec in one.service.part.domain.commands.items()
    }
    finance = {**periods.EXAMPLES, **corrections.EXAMPLES, **reconciliation.EXAMPLES}
    examples = {**EXAMPLES, **refunds.EXAMPLES, **liability.EXAMPLES, **finance}
    assert examples.keys() | OF_FILES == specs.keys()
    for name, example in examples.items():
        given = {"sku": "A", **example} if name == "report_stock" else example
        if name not in COMPUTED:
            msgspec.convert(given, specs[name].body)
        schema = {"$ref": f"#/components/schemas/{specs[name].body.__name__}", "components": document["components"]}
        Draft202012Validator(schema).validate(given)


def test_what_only_the_border_says_does_not_show(document: dict[str, Any]) -> None:
    """Clients are not told of fields that they may not send."""
    fields = document["components"]["schemas"]["SubmitEvidence"]["properties"]
    assert set(fields) == {"note", "kind", "file"}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No schema, header, parameter or answer is named that is not there."""

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [ref for value in node.values() for ref in references(value)]
        return [ref for item in node for ref in references(item)] if isinstance(node, list) else []

    for reference in set(references(document)):
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    ids = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    assert len(ids) == len(set(ids))


def test_the_server_serves_its_document(server: Server) -> None:
    """`/v1/openapi.json` is the document of what runs here."""
    answer = server.get("/v1/openapi.json")
    assert answer.body == json.loads(FILE.read_bytes())


def test_a_browser_reads_the_page_by_a_cookie(server: Server) -> None:
    """The token leaves the address at once; its cookie opens the page and nothing else."""
    token = server.token("agent")
    answer = server.send("GET", f"/docs?token={token}")
    assert (answer.status, answer.headers["Location"]) == (303, "/docs")
    cookie = SimpleCookie(answer.headers["Set-Cookie"])["aftersales_docs"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/docs")
    sent = {"Cookie": f"aftersales_docs={cookie.value}"}
    for path, kind in {
        "/docs": "text/html",
        "/docs/start.js": "text/javascript",
        "/docs/swagger-ui.css": "text/css",
        "/docs/swagger-ui-bundle.js": "text/javascript",
        "/docs/openapi.json": "application/json",
    }.items():
        answer = server.send("GET", path, None, sent)
        assert (answer.status, answer.headers.get_content_type()) == (200, kind), path
    for path in ("/v1/cases", "/v1/openapi.json", "/metrics", "/docsx"):
        assert server.send("GET", path, None, sent).status == 401
    assert server.send("POST", "/v1/cases", b"{}", sent | {"Idempotency-Key": "x"}).status == 401
    assert server.send("GET", "/docs?token=forged").status == 401


def test_the_page_needs_nobody_else(server: Server) -> None:
    """Its policy allows scripts, styles and connections of this server only, and the page asks for no others."""
    answer = server.get("/docs")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    html = answer.raw.decode()
    assert "//" not in html
    assert "<script>" not in html
    example = server.get("/v1/openapi.json").body["components"]["parameters"]["IdempotencyKey"]["example"]
    assert example in server.get("/docs/start.js").raw.decode()
    for name in ("..%2fdocs.py", "README.md", "nothing.js", "%00.js"):
        assert server.get(f"/docs/{name}").code == "not_found"


def test_the_policy_of_a_shop_does_not_change_the_document(server: Server) -> None:
    """Commands are those of the domain: a shop may reword their names, and no more."""
    assert CasesDomain(server.embedded.policy).commands.keys() == EXAMPLES.keys()
