"""What people decide about a loss: who bears it, and what was collected from whom (`domain.md` §5, §6)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from contracts.event import Event
from contracts.events.liability import LiabilityAssigned, LossRecovered, Share
from contracts.policy import Policy
from services.kernel.decider import Command, CommandSpec, Context
from services.kernel.fields import Amount, Name, Text
from services.kernel.refusal import Refusal, invalid
from services.liability.domain.file import LiabilityFile
from services.liability.domain.party import must_be_named, party_of

WHOLE_BP = 10_000


class ShareGiven(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A party and its part of the loss in 1/10000."""

    party: Text
    share_bp: Annotated[int, Meta(ge=1)]


class AssignLiability(Command, frozen=True, kw_only=True):
    """Who bears the case's loss from now on. `case_id` may repeat the case of the address."""

    shares: Annotated[tuple[ShareGiven, ...], Meta(min_length=1, max_length=100)]
    reason: Text
    case_id: str | None = None


class RecordRecovery(Command, frozen=True, kw_only=True):
    """A claim against a party outside the business was collected."""

    party: Text
    amount_fen: Amount
    payment_ref: Name


def _validate_shares(policy: Policy, _: LiabilityFile, case_id: str, body: AssignLiability, __: Context) -> None:
    if body.case_id not in (None, case_id):
        raise invalid("case_id", "other_case", "与路径中的售后单不一致", "is not the case of the address")
    parties = [share.party for share in body.shares]
    for place, party in enumerate(parties):
        party_of(policy, party, f"shares[{place}].party")
        if party in parties[:place]:
            raise invalid(f"shares[{place}].party", "duplicate", "责任方重复", "the party is there twice")
    sum_bp = sum(share.share_bp for share in body.shares)
    if sum_bp != WHOLE_BP:
        raise Refusal("shares_not_whole", sum_bp=sum_bp)
    for party in parties:
        must_be_named(policy, party)


def _assign(_: LiabilityFile, case_id: str, body: AssignLiability, __: Context) -> Sequence[Event]:
    """Recorded also where the shares stay the same: it is a decision, and from now on overrides the cause."""
    shares = tuple(Share(party=share.party, share_bp=share.share_bp) for share in body.shares)
    return (LiabilityAssigned(case_id=case_id, shares=shares, reason=body.reason),)


def _validate_recovery(policy: Policy, _: LiabilityFile, __: str, body: RecordRecovery, ___: Context) -> None:
    if not party_of(policy, body.party, "party").external:
        raise invalid(
            "party",
            "internal_party",
            "只能向外部责任方追偿",
            "claims are collected from parties outside the business",
        )
    must_be_named(policy, body.party)


def _recover(file: LiabilityFile, case_id: str, body: RecordRecovery, _: Context) -> Sequence[Event]:
    """It settles what the party owes and changes nothing that it was charged."""
    case = file.cases[case_id]
    left_fen = case.charged.get(body.party, 0) - case.recovered_fen(body.party)
    if body.amount_fen > left_fen:
        raise Refusal("exceeds_charged", party=body.party, left_fen=max(0, left_fen))
    recovery = LossRecovered(
        case_id=case_id, party=body.party, amount_fen=body.amount_fen, payment_ref=body.payment_ref.strip()
    )
    if any(_same_payment(recovery, earlier) for earlier in case.recoveries):
        raise Refusal("already_paid", item=recovery.payment_ref)
    return (recovery,)


def _same_payment(one: LossRecovered, other: LossRecovered) -> bool:
    return (one.party, one.amount_fen, one.payment_ref) == (other.party, other.amount_fen, other.payment_ref)


def commands(policy: Policy) -> Mapping[str, CommandSpec[LiabilityFile]]:
    """The commands of liability, under a policy that says which parties there are."""
    return {
        "assign_liability": CommandSpec(
            AssignLiability,
            frozenset({"team_lead", "store_manager"}),
            _assign,
            partial(_validate_shares, policy),
        ),
        "record_recovery": CommandSpec(
            RecordRecovery, frozenset({"finance"}), _recover, partial(_validate_recovery, policy)
        ),
    }
