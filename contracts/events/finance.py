"""What finance did to its books (topic `aftersales.finance.v1`, key `~books`): bills taken in, discrepancies and their
corrections, months prepared and closed. Postings are no events: they follow from the events of the other services."""

from typing import Annotated

import msgspec

from contracts.event import Event, Fen, Moment, Part, SignedFen

Day = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="A day of the shop's")]
Month = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}$", description="A month of the shop's")]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$", description="SHA-256, in hexadecimal")]
Count = Annotated[int, msgspec.Meta(ge=0, description="How many")]


class MappingSaved(Event, frozen=True, kw_only=True, tag="mapping.saved"):
    """How a table of one shape is read as a bill; a later one of the same name replaces it."""

    mapping: str
    content: str

    @property
    def subject(self) -> str:
        return self.mapping


class BillImported(Event, frozen=True, kw_only=True, tag="bill.imported"):
    """A bill was taken in whole; `bill` is the hash of the file. Sums are of its rows, as they moved for the shop."""

    bill: Sha256
    file_name: str
    kind: str
    channel: str
    merchant: str
    currency: str
    first_day: Day
    last_day: Day
    rows: Count
    known_rows: Count = 0
    in_fen: Fen
    out_fen: Fen
    fee_fen: SignedFen = 0
    mapping: str = ""

    @property
    def subject(self) -> str:
        return self.bill


class Reconciled(Event, frozen=True, kw_only=True, tag="books.reconciled"):
    """Events, ledger and bills of a channel were compared. `result` is the hash of the whole result, which the same
    bills and the same events (the books up to `position`) always give."""

    run: str
    channel: str
    first_day: Day
    last_day: Day
    bills: tuple[str, ...]
    order_channels: tuple[str, ...] = ()
    """Of which orders the money goes through the channel, where it was said."""
    position: Count
    matched: Count
    carried: Count
    discrepancies: Count
    result: Sha256

    @property
    def subject(self) -> str:
        return self.run


class DiscrepancyEvent(Event, frozen=True, kw_only=True):
    """A fact about one discrepancy."""

    discrepancy: str

    @property
    def subject(self) -> str:
        return self.discrepancy


class DiscrepancyFound(DiscrepancyEvent, frozen=True, kw_only=True, tag="discrepancy.found"):
    """Something on which events, ledger and bill do not agree. `expected_fen` is ours, `found_fen` the bill's."""

    kind: str
    channel: str
    day: Day
    expected_fen: SignedFen
    found_fen: SignedFen
    run: str = ""
    order_id: str = ""
    case_id: str = ""
    rows: tuple[str, ...] = ()
    """Keys of rows of bills."""
    events: tuple[str, ...] = ()
    """Ids of events."""


class DiscrepancyAssigned(DiscrepancyEvent, frozen=True, kw_only=True, tag="discrepancy.assigned"):
    """Somebody looks after it from now on."""

    owner: str


class DiscrepancyClosed(DiscrepancyEvent, frozen=True, kw_only=True, tag="discrepancy.closed"):
    """It is explained, or mended, by a correction that a second person approved."""

    correction: str


class CorrectionEvent(Event, frozen=True, kw_only=True):
    """A fact about one correction."""

    correction: str

    @property
    def subject(self) -> str:
        return self.correction


class Leg(Part, frozen=True, kw_only=True):
    """One side of a correction: a debit where `amount_fen` is above zero, a credit below."""

    account: str
    amount_fen: SignedFen
    party: str = ""
    case_id: str = ""
    item: str = ""


class CorrectionProposed(CorrectionEvent, frozen=True, kw_only=True, tag="correction.proposed"):
    """Somebody asks for postings that no event of the business makes, or, without any, for a discrepancy to be left as
    it is, and says why."""

    reason: str
    legs: tuple[Leg, ...] = ()
    discrepancies: tuple[str, ...] = ()
    booked_on: Day = ""
    """The day that it is posted on; that of its approval where none is said."""


class CorrectionApproved(CorrectionEvent, frozen=True, kw_only=True, tag="correction.approved"):
    """A second person agreed: its legs are posted."""

    reason: str
    legs: tuple[Leg, ...] = ()
    booked_on: Day = ""


class CorrectionDeclined(CorrectionEvent, frozen=True, kw_only=True, tag="correction.declined"):
    """A second person said no, or who proposed it took it back."""

    reason: str


class AccountSum(Part, frozen=True, kw_only=True):
    """What an account held when a month began, moved in it, and held in the end; `party` is what it is kept by."""

    account: str
    party: str = ""
    opening_fen: SignedFen
    debit_fen: Fen
    credit_fen: Fen
    closing_fen: SignedFen


class PeriodPrepared(Event, frozen=True, kw_only=True, tag="period.prepared"):
    """Somebody found a month ready to be closed, and saw this: what the books held up to `position` of their log. A
    later one replaces it. A second person closes the month, as long as it holds the same."""

    month: Month
    position: Count
    postings: Count
    late: Count = 0
    accounts: tuple[AccountSum, ...] = ()

    @property
    def subject(self) -> str:
        return self.month


class PeriodClosed(Event, frozen=True, kw_only=True, tag="period.closed"):
    """A month takes no more postings. It has everything that the books held up to `position` of their log; what is
    heard later of it belongs to the next month. `root` is the root of the log up to there, `report` the hash of the
    month's report. It was closed although `misposted` events contradict themselves, and although some day of it was not
    reconciled with the channels `unreconciled`."""

    month: Month
    position: Count
    root: Sha256
    report: Sha256
    postings: Count
    late: Count = 0
    accounts: tuple[AccountSum, ...] = ()
    cut_off_at: Moment
    misposted: Count = 0
    unreconciled: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return self.month
