"""Bills that were taken in: each once, and all of a channel of the same merchants."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from contracts.event import MAX_FEN
from contracts.events.finance import BillImported
from services.kernel.decider import Command, CommandSpec, Context, Events, Fact
from services.kernel.fields import AmountOrZero, Code, Name, Reference, Sha256
from services.kernel.refusal import Refusal

if TYPE_CHECKING:
    from services.finance.domain.books import Books

#: What a file is called, without folders.
FileName = Annotated[str, msgspec.Meta(pattern=r"^[^/\x00-\x1f\x7f]+$(?!\n)", max_length=255)]
_Day = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$(?!\n)")]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_SignedFen = Annotated[int, msgspec.Meta(ge=-MAX_FEN, le=MAX_FEN)]


class ImportedBill(msgspec.Struct, frozen=True):
    """A bill that was taken in, by whom and when."""

    event: BillImported
    imported_at: datetime
    imported_by: str


class Bills:
    """The bills that were taken in, by the hash of their file, and the merchants that they were of, by channel."""

    def __init__(self) -> None:
        self.imported: dict[str, ImportedBill] = {}
        self.merchants: defaultdict[str, set[str]] = defaultdict(set)

    def evolve(self, fact: Fact) -> None:
        """Fold one event."""
        if isinstance(event := fact.event, BillImported):
            self.imported[event.bill] = ImportedBill(event, fact.time, fact.actor)
            if event.merchant:
                self.merchants[event.channel].add(event.merchant)

    def must_be_of_known_merchant(self, channel: str, merchant: str) -> None:
        """Raises `Refusal` for a merchant that no earlier bill of the channel was of; the first may be of any.

        Some bills do not say whose they are: nobody can tell that of those.
        """
        known = self.merchants.get(channel)
        if merchant and known and merchant not in known:
            raise Refusal("bill_of_other_merchant", channel=channel, merchant=merchant, known=sorted(known))


class ImportBill(Command, frozen=True, kw_only=True):
    """A bill whose rows are stored, with what was found out about it; all of it is said by whoever read the file.

    `merchant_named`: the sender named the merchant, and so may begin with another one.
    """

    bill: Sha256
    file_name: FileName
    kind: Code
    channel: Name
    merchant: Reference = ""
    merchant_named: bool = False
    currency: Code
    first_day: _Day
    last_day: _Day
    rows: _Count
    known_rows: _Count
    in_fen: AmountOrZero
    out_fen: AmountOrZero
    fee_fen: _SignedFen
    mapping: Reference = ""


def import_bill(file: "Books", _: str, body: ImportBill, __: Context) -> Events:
    """Nothing where the same file was taken in before."""
    if body.bill in file.bills.imported:
        return ()
    if not body.merchant_named:
        file.bills.must_be_of_known_merchant(body.channel, body.merchant)
    return (
        BillImported(
            bill=body.bill,
            file_name=body.file_name,
            kind=body.kind,
            channel=body.channel,
            merchant=body.merchant,
            currency=body.currency,
            first_day=body.first_day,
            last_day=body.last_day,
            rows=body.rows,
            known_rows=body.known_rows,
            in_fen=body.in_fen,
            out_fen=body.out_fen,
            fee_fen=body.fee_fen,
            mapping=body.mapping,
        ),
    )


COMMANDS: "Mapping[str, CommandSpec[Books]]" = {
    "import_bill": CommandSpec(ImportBill, frozenset({"finance"}), import_bill)
}
