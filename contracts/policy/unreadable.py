"""What is wrong with a text that is no YAML, for people: the parser speaks of streams, scalars and indicators."""

from collections.abc import Mapping
from typing import Final

import yaml

from contracts.policy.model import Text

#: What the parser misses, by its own words.
_PROBLEMS: Final[Mapping[str, tuple[str, str]]] = {
    "did not find expected ',' or ']'": ("缺少 , 或 ]", "a , or ] is missing"),
    "did not find expected ',' or '}'": ("缺少 , 或 }", "a , or } is missing"),
    "did not find expected key": ("缩进不对,或缺少键", "a wrong indentation, or no key"),
    "did not find expected '-' indicator": ("缩进不对,或缺少 -", "a wrong indentation, or no -"),
    "could not find expected ':'": ("缺少冒号", "a colon is missing"),
    "mapping values are not allowed in this context": (
        "冒号不能在这里:每个键须另起一行",
        "no colon may be here: each key has its own line",
    ),
    "found unexpected end of stream": ("引号没有结束", "quotes are not closed"),
    "found character that cannot start any token": (
        "不能以这个字符开头(如 Tab、@、`)",
        "nothing begins with this (a tab, @ or `)",
    ),
    "did not find expected <document start>": ("前面的内容没有写完", "what stands before it is not complete"),
}


def unreadable(error: yaml.YAMLError) -> tuple[int, Text]:
    """The line at which a text stops being YAML, 1 where nobody knows, and what is wrong there. What has no words here
    is told in the parser's."""
    if isinstance(error, yaml.reader.ReaderError):
        return 1, Text("有不是 UTF-8 的字节,或控制字符", "there are bytes that are no UTF-8, or control characters")
    mark, began = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    zh, en = _PROBLEMS.get(problem, (problem, problem))
    line = mark.line + 1 if mark else 1
    if began is not None and began.line + 1 != line:
        zh, en = f"{zh}(从第 {began.line + 1} 行开始)", f"{en} (begun in line {began.line + 1})"
    return line, Text(zh, en)
