"""What a what-if tells: what was, what would have been, and the difference; in fen, `difference` = would be − was."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from contracts.policy import Text
from services.whatif.cases import Approval, Undecided
from services.whatif.keys import Key


class Amount(msgspec.Struct, frozen=True):
    """An amount of something that is named: a party, a term of the net loss, a kind of payout."""

    name: str
    was_fen: int
    would_be_fen: int
    difference_fen: int

    @classmethod
    def of(cls, name: str, was_fen: int, would_be_fen: int) -> "Amount":
        """The amount with its difference."""
        return cls(name, was_fen, would_be_fen, would_be_fen - was_fen)


class Group(msgspec.Struct, frozen=True):
    """The net loss of a problem, or of a month (`2026-10`, the shop's time, by the time of each posting); of `parties`
    those that would bear something else."""

    name: str
    was_fen: int
    would_be_fen: int
    difference_fen: int
    parties: Sequence[Amount]


class Change(msgspec.Struct, frozen=True):
    """Something that would be otherwise: `party` or `freight_borne_by` of a cause, or of a return (`item`)."""

    what: str
    item: str
    was: str
    would_be: str


class PromiseChange(msgspec.Struct, frozen=True):
    """A promise (`first_answer`, `solution`) that would have been broken and was not, or the other way round."""

    promise: str
    was_broken: bool
    would_be_broken: bool


class CaseThatDiffers(msgspec.Struct, frozen=True):
    """A case for which the rules in question make a difference, and which."""

    case_id: str
    problem: str
    opened_at: datetime
    was_fen: int
    would_be_fen: int
    difference_fen: int
    parties: Sequence[Amount]
    entries: Sequence[Amount]
    payouts: Sequence[Amount]
    approvals: Sequence[Approval]
    promises: Sequence[PromiseChange]
    changes: Sequence[Change]
    undecided: Sequence[Undecided]

    @property
    def weight(self) -> int:
        """How much money would be elsewhere, in fen."""
        return sum(abs(one.difference_fen) for one in (*self.parties, *self.payouts))


class Approvals(msgspec.Struct, frozen=True):
    """Offers that would have needed another approval, counted: roles as in `Approval`."""

    was: str
    would_be: str
    offers: int
    amount_fen: int


class Promises(msgspec.Struct, frozen=True):
    """How many cases had a promise broken, and would have had."""

    promise: str
    was_broken: int
    would_be_broken: int
    newly_broken: int
    no_longer_broken: int


class Version(msgspec.Struct, frozen=True):
    """A version of the policy, and how many of the decisions that were taken again had been taken under it."""

    version: str
    decisions: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. Sums are over all `cases`: those of which a decision was taken again, and those that would differ for
    their sake. Σ `parties` = Σ `problems` = Σ `months` = `net`, in each column; `suspense` is a party here.

    `differ` holds the cases that differ the most, `cases_that_differ` how many there are.
    """

    policy: str
    in_force: str
    decided_under: Sequence[Version]
    keys: Sequence[Key]
    begin: str
    end: str
    position: int
    """Where the log of cases ended."""
    orders: int
    cases: int
    decisions: int
    net: Amount
    parties: Sequence[Amount]
    problems: Sequence[Group]
    months: Sequence[Group]
    payouts: Sequence[Amount]
    """Money that went to buyers by payouts, by kind."""
    approvals: Sequence[Approvals]
    promises: Sequence[Promises]
    undecided: int
    """How many causes the rules in question could not be asked about."""
    cases_that_differ: int
    differ: Sequence[CaseThatDiffers]
    facts: Sequence[Text]
    assumed: Sequence[Text]


#: What is taken from history as it is.
FACTS: Final = (
    Text(
        zh="人做的事和外界的答复照历史不变:受理、凭证、判定的原因、提出与同意的补偿、审批、付款、收发货、保险结果、"
        "打款结果、指定责任、追偿",
        en="What people did and what the world answered stays as it was: cases, evidence, causes, offers and replies,"
        " approvals, payments, goods, insurance, outcomes of payouts, assigned liability, recoveries",
    ),
    Text(
        zh="期间以外的决定照当时记录不变",
        en="What was decided outside the period stands as it was recorded",
    ),
    Text(
        zh="差别是与当时的记录相比,不论当时用的是哪一版政策",
        en="Differences are from what was recorded then, whichever version of the policy it was decided under",
    ),
)
#: What is supposed because nobody can know it.
ASSUMED: Final = (
    Text(
        zh="本须审批的补偿视为已获批;超出所有人权限的也照历史付出,另行列出",
        en="An offer that would have needed approval counts as approved; one above everybody's limit was paid as in"
        " history, and is told apart",
    ),
    Text(
        zh="只在新规则下才有的打款视为当即成功;新规则下不再有的打款视为没有发生",
        en="A payout that arises under these rules only counts as paid at once; one that no longer arises, as never"
        " made",
    ),
    Text(
        zh="与当时规则一致的运费承担视为按规则决定,不一致的视为组长指定,不变",
        en="A bearer of return freight that the rule of then gives counts as decided by the rule; another one as said"
        " by a lead, and stays",
    ),
    Text(
        zh="当时被拒绝的操作没有留下事件,新规则下是否会被允许无从判断",
        en="What was refused then left no event: what these rules would have allowed is not judged",
    ),
)
