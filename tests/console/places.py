"""Where every page is, with something to look at."""

import hashlib
import threading
from typing import Final
from urllib.parse import urlencode

from services.kernel.kafka.parking import ParkedMessage
from tests.cli.parked import TOPIC, early, left_behind, parked
from tests.console.photos import photo_of
from tests.finance.bills.test_mapping import MAPPING
from tests.finance.reconciling.office import DAYS, delivered
from tests.http.server import Server, order_body

#: What finance has: a bill, which its content names.
TRADE: Final = delivered()["trade.csv"].encode()
BILL: Final = hashlib.sha256(TRADE).hexdigest()
#: Where messages are that liability could not handle.
DEAD: Final = "/console/operations/dead-letters/liability"

#: Every page by its route, and an address of it that exists once a shop is furnished; empty where only that names it.
PLACES: Final[dict[str, str]] = {
    "/console/sign-in": "/console/sign-in",
    "/console/signed-out": "/console/signed-out",
    "/console/": "/console/",
    "/console/cases": "/console/cases",
    "/console/approvals": "/console/approvals",
    "/console/payouts": "/console/payouts",
    "/console/exceptions": "/console/exceptions",
    "/console/stock": "/console/stock",
    "/console/search": "/console/search?q=LOCK",
    "/console/new-case": "/console/new-case?order_id=DESK1&problem=damaged_on_arrival",
    "/console/new-case/order": "/console/new-case/order",
    "/console/cases/{case_id}": "/console/cases/DESK1-1",
    "/console/cases/{case_id}/do/{command}": "/console/cases/DESK1-1/do/order-reshipment",
    "/console/cases/{case_id}/timeline": "/console/cases/DESK1-1/timeline",
    "/console/cases/{case_id}/money": "/console/cases/DESK1-1/money",
    "/console/orders/{order_id}": "/console/orders/DESK1",
    "/console/liability": "/console/liability",
    "/console/liability/cases": "/console/liability/cases?by=party&group=",
    "/console/liability/recoveries": "/console/liability/recoveries",
    "/console/liability/parties/{party}": "/console/liability/parties/production",
    "/console/liability/parties/{party}/{name}": "/console/liability/parties/courier/YTO",
    "/console/indicators": "/console/indicators",
    "/console/finance": "/console/finance",
    "/console/finance/ledger-check": "/console/finance/ledger-check",
    "/console/finance/bills": "/console/finance/bills",
    "/console/finance/bills/{bill}": f"/console/finance/bills/{BILL}",
    "/console/finance/new-mapping": "/console/finance/new-mapping?from=claims",
    "/console/finance/mappings/{mapping}": "/console/finance/mappings/claims",
    "/console/finance/reconciliations": "/console/finance/reconciliations",
    "/console/finance/reconciliations/preview": f"/console/finance/reconciliations/preview?{urlencode(DAYS)}",
    "/console/finance/reconciliations/{run}": "",
    "/console/finance/discrepancies": "/console/finance/discrepancies",
    "/console/finance/discrepancies/{discrepancy}": "",
    "/console/finance/corrections": "/console/finance/corrections",
    "/console/finance/corrections/new": "/console/finance/corrections/new",
    "/console/finance/corrections/{correction}": "/console/finance/corrections/K1",
    "/console/finance/statements": "/console/finance/statements",
    "/console/finance/statements/party": "/console/finance/statements/party?party=courier/YTO",
    "/console/finance/statements/deposits": "/console/finance/statements/deposits",
    "/console/finance/statements/suspense": "/console/finance/statements/suspense",
    "/console/finance/statements/refunds": "/console/finance/statements/refunds",
    "/console/finance/postings": "/console/finance/postings",
    "/console/finance/periods": "/console/finance/periods",
    "/console/finance/periods/{month}": "/console/finance/periods/2026-10",
    "/console/finance/exports": "/console/finance/exports",
    "/console/operations": "/console/operations",
    "/console/operations/dead-letters": "/console/operations/dead-letters",
    "/console/operations/dead-letters/{service}": "/console/operations/dead-letters/liability",
    "/console/operations/dead-letters/{service}/message": f"{DEAD}/message?place={TOPIC}/0/7",
    "/console/operations/dead-letters/{service}/preview": f"{DEAD}/preview?cause=invalid_body&action=discard",
    "/console/operations/runs": "/console/operations/runs",
    "/console/operations/runs/{id}": "",
    "/console/operations/start/{kind}": "/console/operations/start/rebuild",
    "/console/operations/what-if": "/console/operations/what-if",
    "/console/operations/time": "/console/operations/time?case_id=DESK1-1&as_of=5",
    "/console/operations/audit": "/console/operations/audit",
}
#: What is asked for by pages and is none itself.
NOT_PAGES: Final = {
    "/console/cases/export",
    "/console/payouts/export",
    "/console/exceptions/export",
    "/console/stock/export",
    "/console/liability/export",
    "/console/liability/cases/export",
    "/console/liability/recoveries/export",
    "/console/new-case/steps",
    "/console/first-run",
    "/console/static/{file}",
    "/console/files/{sha256}",
    "/console/finance/bills/{bill}/file",
    "/console/operations/runs/{id}/file",
    "/console/finance/discrepancies/export",
    "/console/finance/exports/{export}",
    "/console/finance/periods/{month}/report.jsonl",
    "/console/cases/{case_id}/live",
    "/console/orders/{order_id}/live",
    "/console/sign-in/link",
    "/console/sign-in/provider",
    "/console/sign-in/callback",
}


def furnish(shop: Server) -> None:
    """Let there be something on every page."""
    order = order_body("DESK1")
    assert shop.command("/v1/orders/DESK1", order, "service/erp", method="PUT").status == 201
    opened = {"order_id": "DESK1", "problem": "damaged_on_arrival", "description": "划痕", "urgent": True}
    assert shop.command("/v1/cases", opened).status == 201
    for command, body in (
        ("submit-evidence", {"kind": "photo", "file": photo_of(shop)}),
        ("review-evidence", {"evidence": "E1", "accepted": True}),
        ("propose-compensation", {"kind": "cash", "amount_fen": 1500}),
        ("authorise-return", {"lines": [{"line_id": "L1", "quantity": 1}]}),
        ("submit-evidence", {"kind": "photo", "file": photo_of(shop, "navy")}),
    ):
        assert shop.command(f"/v1/cases/DESK1-1/{command}", body).status == 200
    shop.settle()
    _reconcile(shop)
    _operate(shop)


def _operate(shop: Server) -> None:
    """Let there be something on every page of operations: messages set aside, and an operation."""
    set_aside(shop, parked(1), parked(2), early(3, "GAP1"))
    asked = {"kind": "verify", "service": "cases", "reason": "每月检查", "options": {}}
    begun = shop.command("/v1/operations", asked, "store_manager/老陈")
    assert begun.status == 202, begun.raw
    PLACES["/console/operations/runs/{id}"] = f"/console/operations/runs/{begun.body['id']}"


def set_aside(shop: Server, *messages: ParkedMessage) -> None:
    """Have liability keep these messages; in a thread of its own, since a browser's loop may run in this one."""
    thread = threading.Thread(target=left_behind, args=(shop.settings.data_dir, *messages))
    thread.start()
    thread.join()


def _reconcile(shop: Server) -> None:
    """Let there be something on every page of finance: a bill, a refund that nobody knows, and a correction of it."""
    sent = {"who": "finance/老钱", "Content_Type": "application/octet-stream"}
    assert shop.command("/v1/bills?file_name=trade.csv", TRADE, **sent).status == 201
    assert shop.command("/v1/bill-mappings/claims", MAPPING.encode(), method="PUT", **sent).status == 200
    raised, *_, made = shop.command("/v1/reconciliations", DAYS, "finance/老钱").body["events"]
    run, discrepancy = made["data"]["run"], raised["data"]["discrepancy"]
    PLACES["/console/finance/reconciliations/{run}"] = f"/console/finance/reconciliations/{run}"
    PLACES["/console/finance/discrepancies/{discrepancy}"] = f"/console/finance/discrepancies/{discrepancy}"
    proposal = {
        "reason": "渠道误退",
        "discrepancies": [discrepancy],
        "legs": [
            {"account": "differences", "amount_fen": 300},
            {"account": "channel", "party": "taobao", "amount_fen": -300},
        ],
    }
    answer = shop.command("/v1/corrections", proposal, "finance/老钱")
    assert answer.status == 200, answer.raw
    shop.settle()
