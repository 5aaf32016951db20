"""The sums of losses (`domain.md` §5): every fact is an entry once, shares are whole, and parties and suspense make the
loss.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from contracts.event import Event, type_of
from contracts.events import liability as li
from contracts.policy import Text
from contracts.registry import decode
from services.doctor import ways
from services.doctor.finding import Wrong
from services.doctor.look import Look, Stream, asked, streams
from services.kernel.log import Record
from services.liability.domain.charge import borne
from services.liability.domain.commands import WHOLE_BP
from services.liability.domain.entry import SOURCES, entries_of
from services.liability.domain.file import LiabilityFile

#: Streams whose facts are read together.
STREAMS_AT_ONCE: Final = 100

_TYPES: Final = tuple(type_of(event) for event in SOURCES)
_FACTS = f"""SELECT stream, sequence, id, type, schema, data FROM events
WHERE source = ? AND type IN ({", ".join("?" * len(_TYPES))}) AND stream IN ({{}}) ORDER BY position"""
_UNEVEN = """SELECT loss_view.case_id, net_fen, suspense_fen, coalesce(charged.fen, 0) AS charged_fen FROM loss_view
LEFT JOIN (SELECT case_id, sum(charged_fen) AS fen FROM charge_view GROUP BY case_id) AS charged
ON charged.case_id = loss_view.case_id
WHERE net_fen <> suspense_fen + coalesce(charged.fen, 0) ORDER BY loss_view.case_id"""

#: An entry: the fact it comes from, the case, the term and its amount.
Entry = tuple[str, str, str, int]
#: Where, what, what should be there, and what is.
_Found = tuple[str, Text, Any, Any]


class _Fact(NamedTuple):
    """What `entries_of` needs of a record."""

    id: str
    event: Event


class _Losses:
    """The losses of an order, and who was said to bear them."""

    def __init__(self, stream: str) -> None:
        self.file = LiabilityFile(stream)
        self.entries: Counter[Entry] = Counter()
        self.shares: list[li.LiabilityDetermined | li.LiabilityAssigned] = []

    def see(self, record: Record) -> None:
        self.file.evolve(record)
        match record.event:
            case li.LossRecorded() as event:
                self.entries[event.cause_id, event.case_id, event.entry, event.amount_fen] += 1
            case (li.LiabilityDetermined() | li.LiabilityAssigned()) as event:
                self.shares.append(event)


async def loss_sums(look: Look) -> AsyncIterator[Wrong]:
    """Every fact that was heard is an entry once and there is no other; shares make a whole; parties bear by them."""
    batch: list[Stream[_Losses]] = []
    async for stream in streams(look, _Losses):
        if stream.broken:
            yield stream.broken
            continue
        for where, what, expected, found in _by_itself(stream.fold):
            yield Wrong(where, what, str(expected), str(found), ways.finance(look.name))
        batch.append(stream)
        if len(batch) == STREAMS_AT_ONCE:
            for wrong in await _by_the_facts(look, batch):
                yield wrong
            batch = []
    for wrong in await _by_the_facts(look, batch):
        yield wrong
    for row in await look.reads.query(_UNEVEN):
        yield Wrong(
            f"loss_view {row['case_id']}",
            Text(
                zh="各方承担加暂记不等于净损失(分)",
                en="what parties bear and suspense do not make the net loss, in fen",
            ),
            str(row["net_fen"]),
            f"{row['charged_fen']} + {row['suspense_fen']}",
            ways.rebuild(look.name),
        )


def _by_itself(losses: _Losses) -> Iterator[_Found]:
    for said in losses.shares:
        whole = sum(share.share_bp for share in said.shares)
        if whole != WHOLE_BP:
            yield (
                said.case_id,
                Text(zh="责任比例之和不是 10000", en="the shares do not sum to 10 000 bp"),
                WHOLE_BP,
                whole,
            )
    for case in losses.file.cases.values():
        due = {party: fen for party, fen in borne(case).items() if fen}
        charged = {party: fen for party, fen in case.charged.items() if fen}
        if due != charged:
            what = Text(
                zh="各方的承担不是净损失按比例的分摊(分)",
                en="what parties bear is not the net loss by their shares, in fen",
            )
            yield case.case_id, what, _told(due), _told(charged)


async def _by_the_facts(look: Look, batch: Sequence[Stream[_Losses]]) -> list[Wrong]:
    """Entries against the facts of cases and refunds, as far as they were heard."""
    names = [stream.name for stream in batch]
    due: dict[str, Counter[Entry]] = defaultdict(Counter)
    for source in look.part.hears_from:
        marks = await look.reads.inbox(source, names)
        for row in await asked(look.shop.stores[source], _FACTS, names, source, *_TYPES):
            if row["sequence"] <= marks.get(row["stream"], 0):
                due[row["stream"]].update(_entries(row))
    wrongs = []
    for stream in batch:
        expected, recorded = due[stream.name], stream.fold.entries
        for where, what, wanted, found in _compared(expected, recorded):
            wrongs.append(Wrong(where, what, wanted, found, ways.finance(look.name)))
    return wrongs


def _entries(row: Mapping[str, Any]) -> Collection[Entry]:
    """What a fact must have become; nothing where it cannot be read, which another check tells of."""
    try:
        fact = _Fact(row["id"], decode(row["type"], row["schema"], row["data"]))
    except Exception:
        return ()
    return [(row["id"], one.case_id, one.entry, one.amount_fen) for one in entries_of(fact)]  # type: ignore[arg-type]


def _compared(due: Counter[Entry], recorded: Counter[Entry]) -> Iterator[tuple[str, Text, str, str]]:
    for entry in sorted({*due, *recorded}):
        if due[entry] != recorded[entry]:
            cause_id, case_id, term, amount_fen = entry
            what = Text(
                zh=f"损失分录“{term}”{amount_fen} 分与事实 {cause_id} 不符(应有次数,实有次数)",
                en=f"the entry “{term}” of {amount_fen} fen does not follow from the fact {cause_id}"
                " (times due, times there)",
            )
            yield case_id, what, str(due[entry]), str(recorded[entry])


def _told(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{party} {fen}" for party, fen in sorted(amounts.items())) or "0"
