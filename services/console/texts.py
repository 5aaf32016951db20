"""Every text of a page, in Chinese and English: one catalogue, read from the files beside this module."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parent / "texts"
LANGUAGES: Final = ("zh", "en")


class Catalogue:
    """Texts by key, such as `cases.assignee`."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        self._texts = texts

    def say(self, language: str, key: str, **params: Any) -> str:
        """A text, with its places filled. Raises LookupError for a key that is not there."""
        text = self._texts[key][language]
        return text.format_map(params) if params else text

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def texts(self, key: str) -> Mapping[str, str]:
        """A text in all languages."""
        return self._texts[key]


@cache
def catalogue() -> Catalogue:
    """The texts of all files; a key is the file's name and the path in it. Raises ValueError for one without a text in
    both languages."""
    texts: dict[str, Mapping[str, str]] = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        texts.update(_flat(file.stem, yaml.load(file.read_bytes(), yaml.CSafeLoader)))
    return Catalogue(texts)


def _flat(key: str, node: Any) -> Iterator[tuple[str, Mapping[str, str]]]:
    if not isinstance(node, dict):
        raise ValueError(f"{key}: a text has zh and en")
    if set(node) == set(LANGUAGES) and all(isinstance(text, str) for text in node.values()):
        yield key, node
        return
    for name, inner in node.items():
        yield from _flat(f"{key}.{name}", inner)
