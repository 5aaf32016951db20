"""What must hold at the end of a scenario, compared with what was read (domain.md §7)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from services.scenarios.format import Expect
from services.scenarios.result import Difference, Reading

_ABSENT = object()


def differences(expect: Expect, read: Reading) -> list[Difference]:
    """All differences. Only what is listed is compared, except that payouts and losses are exact when given."""
    return [
        *_by_label("cases", expect.cases, read.cases),
        *_by_label("settlements", expect.settlements, read.settlements),
        *_payouts(expect.payouts, read.payouts),
        *_losses(expect.losses, read.losses),
        *_compared("suspense_fen", expect.suspense_fen, read.suspense_fen, listed=expect.suspense_fen is not None),
        *_recovered(expect.recovered, read.recovered),
        *_events(expect.events, read.events),
    ]


def _by_label(
    part: str, expected: Mapping[str, Mapping[str, Any]], read: Mapping[str, Mapping[str, Any]]
) -> Iterator[Difference]:
    for label, fields in expected.items():
        if label not in read:
            yield _never_opened(f"{part}.{label}", fields)
            continue
        for field, value in fields.items():
            yield from _compared(f"{part}.{label}.{field}", value, read[label].get(field, _ABSENT))


def _compared(where: str, expected: Any, got: Any, listed: bool = True) -> Iterator[Difference]:
    if not listed or _same(expected, got):
        return
    if got is _ABSENT:
        yield _difference(where, expected, None, "没有这个字段", "there is no such field")
    else:
        yield _difference(where, expected, got, f"应为 {expected},实为 {got}", f"expected {expected}, got {got}")


def _same(expected: Any, got: Any) -> bool:
    """Mappings are compared on what is listed, lists whole, times as moments; true is not 1."""
    if isinstance(expected, Mapping):
        return isinstance(got, Mapping) and all(_same(value, got.get(key, _ABSENT)) for key, value in expected.items())
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(got) == len(expected)
            and all(_same(one, other) for one, other in zip(expected, got, strict=True))
        )
    if isinstance(expected, datetime):
        return isinstance(got, str) and datetime.fromisoformat(got) == expected
    return isinstance(expected, bool) is isinstance(got, bool) and bool(expected == got)


def _payouts(expected: list[dict[str, Any]] | None, read: list[dict[str, Any]]) -> Iterator[Difference]:
    """As often as listed and no other; the order does not matter. What says most is matched first."""
    if expected is None:
        return
    left = list(read)
    for payout in sorted(expected, key=len, reverse=True):
        found = next((one for one in left if _same(payout, one)), None)
        if found is not None:
            left.remove(found)
            continue
        yield _difference("payouts", payout, None, f"缺少付款 {payout}", f"the payout {payout} is missing")
    for one in left:
        yield _difference("payouts", None, one, f"多出付款 {one}", f"the payout {one} is not expected")


def _losses(expected: Mapping[str, int] | None, read: Mapping[str, int]) -> Iterator[Difference]:
    if expected is None:
        return
    for party in [*expected, *(party for party in read if party not in expected)]:
        yield from _compared(f"losses.{party}", expected.get(party, 0), read.get(party, 0))


def _recovered(expected: Mapping[str, int], read: Mapping[str, int]) -> Iterator[Difference]:
    for party, fen in expected.items():
        yield from _compared(f"recovered.{party}", fen, read.get(party, 0))


def _events(expected: Mapping[str, list[str]], read: Mapping[str, list[str]]) -> Iterator[Difference]:
    for label, types in expected.items():
        where = f"events.{label}"
        if label not in read:
            yield _never_opened(where, types)
            continue
        rest, before = iter(read[label]), ""
        for type_ in types:
            if type_ not in rest:  # consumes the iterator up to what was found
                after_zh, after_en = (f"在 {before} 之后", f" after {before}") if before else ("", "")
                yield _difference(
                    where, types, read[label], f"{after_zh}没有 {type_}", f"there is no {type_}{after_en}"
                )
                break
            before = type_


def _never_opened(where: str, expected: Any) -> Difference:
    return _difference(where, expected, None, "这个售后单没有打开", "this case was never opened")


def _difference(where: str, expected: Any, got: Any, zh: str, en: str) -> Difference:
    return Difference(where=f"expect.{where}", expected=expected, got=got, zh=zh, en=en)
