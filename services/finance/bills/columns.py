"""The columns of a bill, by their names: in any order, under the names of earlier formats too, but none unknown."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.finance.bills.lines import Lines
from services.finance.bills.mistakes import Unreadable, Wrong

#: Brackets are written in both widths, by the same channel.
_WIDTHS: Final = str.maketrans("（）", "()")
#: What stands around a name or a value without belonging to it.
PADDING: Final = " \t\r\n"


class Columns:
    """Which columns a bill may have. `needed` and `optional` are names of today, `earlier` maps former ones to them."""

    def __init__(self, needed: Sequence[str], optional: Sequence[str], earlier: Mapping[str, str]) -> None:
        self.needed = needed
        self.known = {*needed, *optional}
        self.earlier = earlier

    def of(self, header: Sequence[str], lines: Lines) -> list[str]:
        """The columns of a header, by their names of today.

        Every mistake in it is noted; raises `Unreadable` at the last, as no row can be read without it.
        """
        names = [self._today(cell) for cell in header]
        wrong = [Wrong("column_missing", name) for name in self.needed if name not in names]
        wrong += [Wrong("column_unknown", name) for name in names if name not in self.known]
        wrong += [Wrong("column_twice", name) for name in dict.fromkeys(names) if names.count(name) > 1]
        for one in wrong[:-1]:
            lines.wrong(one)
        if wrong:
            raise Unreadable(wrong[-1].rule, wrong[-1].field)
        return names

    def _today(self, cell: str) -> str:
        name = name_of(cell)
        return self.earlier.get(name, name)


def name_of(cell: str) -> str:
    """The name of a column, without padding and with narrow brackets."""
    return cell.strip(PADDING).translate(_WIDTHS)


def row_of(names: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    """The fields of a row by their columns, without padding; raises `Wrong`."""
    if len(fields) != len(names):
        raise Wrong("columns", wanted=len(names), found=len(fields))
    return {name: field.strip(PADDING) for name, field in zip(names, fields, strict=True)}
