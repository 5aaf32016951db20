"""The worked example of `domain.md` §4 through refunds and liability together."""

from contracts.event import Event, type_of
from services.liability.domain import LiabilityFile
from tests.given import Story, came_back, compensated, line
from tests.liability.facts import assessed
from tests.liability.facts import story as losses
from tests.refunds.facts import asked, authorised, insurance
from tests.refunds.facts import story as refunds


def test_worked_example() -> None:
    """The case's net loss is 300: the freight that no insurance paid; both locks are back and the cash was deducted."""
    refund, loss = refunds(line(quantity=2, paid_fen=259_800), insured=True), losses()
    happenings: list[Event] = [
        compensated(2_000),
        compensated(500, kind="good_review_reward", proposal="P2"),
        authorised("RT1"),
        came_back("RT1", freight_fen=1_500),
        asked("F1"),
        insurance(1_200),
        assessed("courier/YTO", "transit_damage"),
        authorised("RT2"),
        came_back("RT2"),
        asked("F2"),
    ]
    for happening in happenings:
        heard = refund.hear(happening) if type_of(happening) in refund.domain.hears else []
        tell(loss, [happening, *heard])
    assert [payout.amount_fen for payout in refund.file.payouts.values()] == [127_900, 300, 129_900]
    for payout in list(refund.file.payouts):
        tell(loss, refund.do("confirm_payout", "TB1-1", payout=payout, status="succeeded", channel_ref="CH-1"))
    case = loss.file.cases["TB1-1"]
    assert (case.net_fen, case.charged, case.suspense_fen) == (300, {"courier/YTO": 300}, 0)
    assert [(entry.entry, entry.amount_fen) for entry in case.entries] == [
        ("cash", 2_000),
        ("goods_returned", -60_000),
        ("goods_returned", -60_000),
        ("goods", 60_000),
        ("deduction", -2_000),
        ("return_freight", 300),
        ("goods", 60_000),
    ]


def tell(loss: Story[LiabilityFile], events: list[Event]) -> None:
    for event in events:
        if type_of(event) in loss.domain.hears:
            loss.hear(event)
