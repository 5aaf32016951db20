"""What agents do and note besides money and goods: evidence, causes, guidance, carriers, reports."""

from contracts.events import cases as c
from services.cases.domain.commands import (
    ArrangePickup,
    AssessCause,
    ContactInstaller,
    Escalate,
    GiveGuidance,
    RecordFinding,
    RecordInsuranceResult,
    ReportIssue,
    ReviewEvidence,
    SubmitEvidence,
    TraceParcel,
)
from services.cases.domain.matrix import in_warranty
from services.cases.domain.situation import Situation, stuck
from services.kernel.decider import Events
from services.kernel.refusal import Refusal, invalid


def check_file(_: Situation, body: SubmitEvidence) -> None:
    """A photo must be a picture and a video a film."""
    wanted = {"photo": "image/", "video": "video/"}.get(body.kind, "")
    if not body.media_type.startswith(wanted):
        raise invalid("kind", "matches_file", f"文件是 {body.media_type}", f"the file is {body.media_type}")


def submit_evidence(s: Situation, body: SubmitEvidence) -> Events:
    """Add a file."""
    return [
        c.EvidenceSubmitted(
            case_id=s.case_id,
            evidence=f"E{len(s.case.evidence) + 1}",
            kind=body.kind,
            sha256=body.file,
            media_type=body.media_type,
            size_bytes=body.size_bytes,
        )
    ]


def review_evidence(s: Situation, body: ReviewEvidence) -> Events:
    """Say whether the evidence shows what it should; a verdict may change, the evidence stays."""
    if s.case.evidence[body.evidence].accepted is body.accepted:
        raise stuck("reviewed", item=body.evidence)
    verdict = c.EvidenceAccepted if body.accepted else c.EvidenceRejected
    return [verdict(case_id=s.case_id, evidence=body.evidence)]


def party_of(s: Situation, cause_name: str, party_name: str | None) -> str:
    """The party a cause points to; a named one takes its name from the assessment, else from the order."""
    cause = s.policy.causes[cause_name]
    if not cause.named:
        return cause.party
    order = s.file.order
    assert order is not None
    from_order = order.people.get(cause.party) or (order.carrier if cause.party == "courier" else "")
    name = (party_name or from_order).strip()
    if not name:
        raise Refusal("party_name_required", party=cause.party, field="party_name")
    return f"{cause.party}/{name}"


def check_cause(s: Situation, body: AssessCause) -> None:
    """Refuse an unknown cause, and a party that needs a name and has none."""
    if body.cause not in s.policy.causes:
        raise invalid("cause", "known", f"没有原因 {body.cause}", f"there is no cause {body.cause}")
    party_of(s, body.cause, body.party_name)


def assess_cause(s: Situation, body: AssessCause) -> Events:
    """Say why it happened. What is not said follows from the cause and from the order's warranty."""
    human = body.cause == "human_caused" if body.human_caused is None else body.human_caused
    return [
        c.CauseAssessed(
            case_id=s.case_id,
            cause=body.cause,
            party=party_of(s, body.cause, body.party_name),
            freight_borne_by=s.policy.causes[body.cause].freight,
            in_warranty=in_warranty(s) if body.in_warranty is None else body.in_warranty,
            human_caused=human,
            affects_use=bool(body.affects_use),
        )
    ]


def give_guidance(s: Situation, body: GiveGuidance) -> Events:
    """Tell the buyer how."""
    s.require_remedy("guide")
    return [c.GuidanceGiven(case_id=s.case_id, topic=body.topic or "")]


def contact_installer(s: Situation, body: ContactInstaller) -> Events:
    """Urge or replace the installer."""
    s.require_remedy("contact_installer")
    return [c.InstallerContacted(case_id=s.case_id, action=body.action)]


def trace_parcel(s: Situation, body: TraceParcel) -> Events:
    """Ask the carrier where a parcel is."""
    s.require_remedy("trace_parcel")
    return [c.ParcelTraced(case_id=s.case_id, tracking_no=body.tracking_no, status=body.status)]


def arrange_pickup(s: Situation, body: ArrangePickup) -> Events:
    """Have excess goods fetched at the shop's expense."""
    s.require_remedy("arrange_pickup")
    return [
        c.PickupArranged(
            case_id=s.case_id,
            freight_fen=body.freight_fen,
            carrier=body.carrier or "",
            tracking_no=body.tracking_no or "",
        )
    ]


def report_issue(s: Situation, body: ReportIssue) -> Events:
    """Tell a department, and name who it is about."""
    s.require_remedy("report")
    return [
        c.IssueReported(case_id=s.case_id, department=body.department, summary=body.summary, person=body.person or "")
    ]


def record_finding(s: Situation, body: RecordFinding) -> Events:
    """Note what the asked department found."""
    return [c.FindingRecorded(case_id=s.case_id, finding=body.finding)]


def escalate(s: Situation, body: Escalate) -> Events:
    """Ask a higher role to look."""
    return [c.CaseEscalated(case_id=s.case_id, role=body.role, reason=body.reason)]


def check_insurance_result(_: Situation, body: RecordInsuranceResult) -> None:
    """A paid claim has an amount, a failed one has none."""
    if body.result == "failed" and body.amount_fen:
        raise invalid("amount_fen", "zero", "理赔失败没有金额", "a failed claim has no amount")
    if body.result == "paid" and not body.amount_fen:
        raise invalid("amount_fen", "positive", "理赔成功须有金额", "a paid claim has an amount")


def record_insurance_result(s: Situation, body: RecordInsuranceResult) -> Events:
    """Note what the freight insurer said; what it means for money is for refunds to say."""
    if body.result == "failed":
        return [c.InsuranceFailed(case_id=s.case_id)]
    return [c.InsurancePaid(case_id=s.case_id, amount_fen=body.amount_fen)]
