"""Evidence, causes and who pays by them, and what agents note along the way (`domain.md` §3, §5)."""

from typing import Any

import pytest

from contracts.events import cases as c
from tests.cases.shop import AGENT, FINANCE, LEAD, ONE, PHOTO, SERVICE, Shop, units_of
from tests.given import START, line

MONTHS: dict[str, Any] = {"delivered_at": "2026-01-31T12:00:00+08:00", "ordered_at": "2026-01-01T12:00:00+08:00"}

GUIDE, SELL, FREE = "guide", "sell", "free"


def judged(problem: str = "accessory_failure", **cause: Any) -> Shop:
    """A case whose evidence is there and whose cause is assessed."""
    shop = Shop(line(quantity=2))
    shop.open(problem)
    shop.photo()
    shop.do("assess_cause", cause=cause.pop("cause", "accessory_failed_in_use"), **cause)
    return shop


def test_evidence_is_added_and_reviewed() -> None:
    """A verdict may change; the evidence stays."""
    shop = Shop()
    shop.open()
    assert shop.do("submit_evidence", SERVICE, **PHOTO) == [
        c.EvidenceSubmitted(
            case_id=ONE, evidence="E1", kind="photo", sha256="a" * 64, media_type="image/jpeg", size_bytes=1000
        )
    ]
    assert shop.do("review_evidence", evidence="E1", accepted=False) == [c.EvidenceRejected(case_id=ONE, evidence="E1")]
    assert shop.refused("review_evidence", evidence="E1", accepted=False) == "invalid_transition"
    assert shop.do("review_evidence", evidence="E1", accepted=True) == [c.EvidenceAccepted(case_id=ONE, evidence="E1")]
    assert shop.refused("review_evidence", evidence="E2", accepted=True) == "unknown_item"


@pytest.mark.parametrize(
    ("kind", "media_type", "proves"),
    [
        ("photo", "image/png", True),
        ("video", "video/mp4", True),
        ("chat_log", "image/png", False),
        ("waybill", "image/png", False),
        ("weight", "image/png", False),
    ],
)
def test_only_an_accepted_photo_or_video_proves(kind: str, media_type: str, proves: bool) -> None:
    """Chat logs, waybills and weights are kept, but show no goods."""
    shop = Shop()
    shop.open()
    shop.do("submit_evidence", kind=kind, file="b" * 64, media_type=media_type)
    assert shop.refused("authorise_return", lines=units_of(1)) == "evidence_required"
    shop.do("review_evidence", evidence="E1", accepted=True)
    if proves:
        shop.authorise()
        shop.do("review_evidence", evidence="E1", accepted=False)
    assert shop.refused("propose_compensation", kind="cash", amount_fen=1) == "evidence_required"


@pytest.mark.parametrize(("kind", "media_type"), [("photo", "video/mp4"), ("video", "image/png"), ("photo", "")])
def test_a_file_is_what_it_is_called(kind: str, media_type: str) -> None:
    """A film is no photo; that comes before the role."""
    shop = Shop()
    shop.open()
    for by in (AGENT, FINANCE):
        body: dict[str, Any] = {"kind": kind, "file": "b" * 64, "media_type": media_type}
        assert shop.refused("submit_evidence", by, **body) == "invalid"


@pytest.mark.parametrize(
    ("cause", "party", "freight"),
    [
        ("accessory_defective", "production", "merchant"),
        ("packing_error", "production", "merchant"),
        ("accessory_failed_in_use", "production", "merchant"),
        ("wrong_goods_shipped", "warehouse", "merchant"),
        ("duplicate_waybill", "warehouse", "merchant"),
        ("transit_damage", "courier/YTO", "merchant"),
        ("lost_in_transit", "courier/YTO", "merchant"),
        ("confiscated", "courier/YTO", "merchant"),
        ("supply_delay", "purchasing", "merchant"),
        ("page_mismatch", "operations/小王", "merchant"),
        ("operations_mistake", "operations/小王", "merchant"),
        ("procedure_not_followed", None, "merchant"),
        ("order_review_late", None, "merchant"),
        ("order_entry_mistake", None, "merchant"),
        ("supplier_mismatch", None, "merchant"),
        ("installer_failed", None, "merchant"),
        ("buyer_changed_mind", "none", "buyer"),
        ("human_caused", "none", "buyer"),
        ("goodwill", "none", "merchant"),
    ],
)
def test_causes(cause: str, party: str | None, freight: str) -> None:
    """Each cause of §5 points to its party; a named one takes its name from the order where it has it."""
    shop = Shop()
    shop.open()
    if party is None:
        for by in (AGENT, FINANCE):
            assert shop.refused("assess_cause", by, cause=cause) == "party_name_required"
        (event,) = shop.do("assess_cause", cause=cause, party_name=" 小周 ")
        assert isinstance(event, c.CauseAssessed)
        assert event.party.endswith("/小周")
    else:
        (event,) = shop.do("assess_cause", cause=cause)
        assert isinstance(event, c.CauseAssessed)
        assert event.party == party
    assert event.freight_borne_by == freight
    assert shop.refused("assess_cause", FINANCE, cause="bad_luck") == "invalid"


def test_the_assessment_names_before_the_order_does() -> None:
    """A name that is said wins over the order's; without a carrier a courier must be named."""
    shop = Shop()
    shop.open()
    (event,) = shop.do("assess_cause", cause="transit_damage", party_name="ZTO")
    assert isinstance(event, c.CauseAssessed)
    assert event.party == "courier/ZTO"
    other = Shop(carrier="", people={})
    other.open()
    assert other.refused("assess_cause", cause="transit_damage") == "party_name_required"


@pytest.mark.parametrize(
    ("at", "in_warranty"),
    [("2026-02-28T12:00:00+08:00", True), ("2026-02-28T12:00:00.000001+08:00", False)],
)
def test_the_warranty_ends_to_the_microsecond(at: str, in_warranty: bool) -> None:
    """One month after 31 January is the last day of February; who complains by then is in warranty."""
    shop = Shop()
    shop.record_order(**MONTHS, warranty_months=1)
    shop.do("open_case", order_id="TB1", problem="accessory_failure", description="坏", at=_time(at))
    (event,) = shop.do("assess_cause", cause="goodwill")
    assert isinstance(event, c.CauseAssessed)
    assert event.in_warranty is in_warranty


def test_before_delivery_the_warranty_has_not_begun() -> None:
    """Without `delivered_at` nothing has run out; what the agent says counts more."""
    shop = Shop()
    shop.record_order(delivered_at=None, warranty_months=0)
    shop.open()
    (event,) = shop.do("assess_cause", cause="human_caused")
    assert event == c.CauseAssessed(
        case_id=ONE,
        cause="human_caused",
        party="none",
        freight_borne_by="buyer",
        in_warranty=True,
        human_caused=True,
        affects_use=False,
    )
    (event,) = shop.do("assess_cause", cause="human_caused", in_warranty=False, human_caused=False, affects_use=True)
    assert isinstance(event, c.CauseAssessed)
    assert (event.in_warranty, event.human_caused, event.affects_use) == (False, False, True)


@pytest.mark.parametrize("affects_use", [True, False])
@pytest.mark.parametrize("in_warranty", [True, False])
@pytest.mark.parametrize("human_caused", [True, False])
def test_accessory_failure(human_caused: bool, in_warranty: bool, affects_use: bool) -> None:
    """The matrix: guide only, sell, or free; whatever it does not say is `remedy_not_allowed`."""
    shop = judged(human_caused=human_caused, in_warranty=in_warranty, affects_use=affects_use)
    verdict = (SELL if affects_use else GUIDE) if human_caused else (FREE if in_warranty else SELL)
    allowed = {GUIDE: set[str](), SELL: {"charge", "sale"}, FREE: {"cash", "now", "deposit"}}[verdict]
    item = {"sku": "BATTERY", "quantity": 1, "unit_cost_fen": 100}
    tries: dict[str, tuple[str, dict[str, Any]]] = {
        "cash": ("propose_compensation", {"kind": "cash", "amount_fen": 1}),
        "now": ("order_reshipment", {"items": [item], "trigger": "now"}),
        "sale": ("order_reshipment", {"items": [item], "trigger": "on_payment"}),
        "charge": ("charge_buyer", {"amount_fen": 100, "purpose": "配件"}),
        "deposit": ("request_deposit", {}),
    }
    for name, (command, body) in tries.items():
        if name in allowed:
            assert shop.do(command, **body)
        else:
            assert shop.refused(command, **body) == "remedy_not_allowed"
    shop.do("give_guidance")
    shop.offer(100, "good_review_reward")


@pytest.mark.parametrize("trigger", ["now", "on_tracking", "on_receipt", "on_deposit"])
def test_a_sale_goes_on_payment_only(trigger: str) -> None:
    """Where the matrix says sell, no other trigger ships."""
    shop = judged(human_caused=False, in_warranty=False)
    items = [{"sku": "BATTERY", "quantity": 1, "unit_cost_fen": 100}]
    assert shop.refused("order_reshipment", items=items, trigger=trigger) == "remedy_not_allowed"


@pytest.mark.parametrize("human_caused", [True, False])
@pytest.mark.parametrize("in_warranty", [True, False])
def test_scratch_after_use(in_warranty: bool, human_caused: bool) -> None:
    """Out of warranty a discounted exchange, whoever caused it; in warranty compensation."""
    shop = judged("scratch_after_use", human_caused=human_caused, in_warranty=in_warranty)
    lock = [{"sku": "SKU-L1", "quantity": 1, "unit_cost_fen": 60_000}]
    if in_warranty:
        assert shop.offer(2000) == "P1"
        assert shop.refused("charge_buyer", amount_fen=1, purpose="换") == "remedy_not_allowed"
        assert shop.refused("order_reshipment", items=lock, trigger="on_payment") == "remedy_not_allowed"
        assert shop.refused("authorise_return", lines=units_of(1)) == "remedy_not_allowed"
    else:
        assert shop.refused("propose_compensation", kind="cash", amount_fen=1) == "remedy_not_allowed"
        shop.do("charge_buyer", amount_fen=1, purpose="换")
        shop.do("order_reshipment", items=lock, trigger="on_payment")
        shop.authorise()
    assert shop.refused("order_reshipment", items=lock, trigger="now") == "remedy_not_allowed"


def test_the_last_assessment_counts() -> None:
    """A cause may be assessed again, and then decides from now on."""
    shop = judged(human_caused=True)
    assert shop.refused("propose_compensation", kind="cash", amount_fen=1) == "remedy_not_allowed"
    shop.do("assess_cause", cause="accessory_failed_in_use")
    shop.offer(1)


@pytest.mark.parametrize(
    ("command", "body", "event"),
    [
        ("give_guidance", {"topic": "保养"}, c.GuidanceGiven(case_id=ONE, topic="保养")),
        (
            "escalate",
            {"role": "team_lead", "reason": "难"},
            c.CaseEscalated(case_id=ONE, role="team_lead", reason="难"),
        ),
        ("record_finding", {"finding": "page_error"}, c.FindingRecorded(case_id=ONE, finding="page_error")),
    ],
)
def test_what_is_noted(command: str, body: dict[str, Any], event: c.CaseEscalated) -> None:
    """Guidance, escalations and findings are facts."""
    shop = Shop()
    shop.open("function_preference")
    assert shop.do(command, **body) == [event]
    assert shop.refused("escalate", LEAD, role="finance", reason="难") == "invalid"


def test_what_carriers_and_installers_do() -> None:
    """Tracing, pickup and installers, each where the problem allows it."""
    shop = Shop()
    shop.open("home_delivery")
    shop.open("excess_goods")
    shop.open("installer_no_show")
    shop.open("service_attitude")
    assert shop.do("trace_parcel", tracking_no="Y1", status="在途") == [
        c.ParcelTraced(case_id=ONE, tracking_no="Y1", status="在途")
    ]
    assert shop.do("arrange_pickup", case="TB1-2", freight_fen=900, carrier="YTO", tracking_no="Y2") == [
        c.PickupArranged(case_id="TB1-2", freight_fen=900, carrier="YTO", tracking_no="Y2")
    ]
    for action in ("urge", "replace"):
        assert shop.do("contact_installer", case="TB1-3", action=action) == [
            c.InstallerContacted(case_id="TB1-3", action=action)
        ]
    assert shop.do("report_issue", case="TB1-4", department="customer_service", summary="骂人", person="小周") == [
        c.IssueReported(case_id="TB1-4", department="customer_service", summary="骂人", person="小周")
    ]


def test_insurance_results() -> None:
    """A paid claim has an amount, a failed one has none; that comes before the role."""
    shop = Shop()
    shop.open()
    assert shop.do("record_insurance_result", SERVICE, result="paid", amount_fen=1200) == [
        c.InsurancePaid(case_id=ONE, amount_fen=1200)
    ]
    assert shop.do("record_insurance_result", AGENT, result="failed", amount_fen=0) == [c.InsuranceFailed(case_id=ONE)]
    for body in ({"result": "paid", "amount_fen": 0}, {"result": "failed", "amount_fen": 1}, {"result": "lost"}):
        assert shop.refused("record_insurance_result", FINANCE, **body) == "invalid"
    assert shop.refused("record_insurance_result", FINANCE, result="failed") == "forbidden"


def _time(text: str) -> Any:
    return START.fromisoformat(text)
