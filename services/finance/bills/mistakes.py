"""What can be wrong with a bill: each mistake names the file, the line, the field, the rule, and the way out."""

from typing import Any, Final

import msgspec

#: How many mistakes of a bill are told; the rest are counted.
MOST: Final = 50


class Rule(msgspec.Struct, frozen=True):
    """What is wrong by a rule, and what to do about it, zh and en each."""

    zh: str
    en: str
    way_zh: str
    way_en: str


def _again(zh: str, en: str) -> Rule:
    """A file that is not as the channel made it."""
    return Rule(zh, en, "从渠道重新下载,不要经表格软件另存", "download it afresh; do not save it in a spreadsheet")


def _ask(zh: str, en: str) -> Rule:
    """A file that the channel itself got wrong, or changed."""
    return Rule(zh, en, "重新下载;若仍如此,连同此报告询问渠道", "download it afresh; if it stays, ask the channel")


def _mapping(zh: str, en: str) -> Rule:
    """A mapping that does not say what it must."""
    return Rule(zh, en, "改正映射文件", "mend the mapping file")


RULES: Final[dict[str, Rule]] = {
    # the file
    "empty": _again("文件是空的", "the file is empty"),
    "unknown_bill": Rule(
        "认不出是哪种账单(开头是 {found})",
        "no bill that is known here (it begins with {found})",
        "核对是否选错了文件;若是其他表格,导入时选一个列映射",
        "check that it is the right file; any other table is read by a column mapping: choose one",
    ),
    "other_kind": Rule(
        "这是 {found} 账单,不是 {wanted}",
        "it is a bill {found}, not {wanted}",
        "换文件或改种类",
        "take another file, or name its kind",
    ),
    "wrong_encoding": _again("编码应为 {wanted},实为 {found}", "its encoding should be {wanted} and is {found}"),
    "archive_broken": _again("压缩包损坏或不完整({found})", "the archive is broken or cut ({found})"),
    "archive_locked": Rule(
        "压缩包中的 {found} 加了密码", "{found} in the archive has a password", "先解开密码", "unlock it first"
    ),
    "archive_content": _again("压缩包里没有账单明细", "the archive holds no details of a bill"),
    "too_large": Rule(
        "解开后超过上限({found})",
        "unpacked it passes a limit ({found})",
        "按日或按月分开下载",
        "download it by day or month",
    ),
    "line_too_long": _again("一行超过 {found} 字节", "a line is longer than {found} bytes"),
    "cut": _again("文件不完整:缺少{missing_zh}", "the file is cut: {missing_en} is missing"),
    "after_footer": _again("汇总之后还有内容", "there is more behind its totals"),
    # the header
    "column_missing": Rule(
        "缺少这一列",
        "this column is missing",
        "从渠道重新下载,或用列映射指明各列",
        "download it afresh, or say in a column mapping which column is what",
    ),
    "column_unknown": Rule(
        "不认识这一列",
        "this column is not known",
        "渠道可能改了格式:用列映射指明各列",
        "the channel may have changed its format: say in a column mapping which column is what",
    ),
    "column_twice": _again("这一列出现两次", "this column is there twice"),
    # a row
    "columns": _again("应有 {wanted} 列,实有 {found} 列", "it has {found} fields instead of {wanted}"),
    "prefix": _again("字段前缺少 `", "a field lacks its leading `"),
    "quoting": _again("引号不成对({found})", "its quotes do not match ({found})"),
    "missing": _ask("没有填", "it is empty"),
    "amount": _ask("{found} 不是金额", "{found} is no amount"),
    "amount_grouped": _again("金额 {found} 带分隔符,应如 1234.50", "{found} is grouped; it should read as 1234.50"),
    "amount_scientific": _again("金额 {found} 是科学计数法", "{found} is in scientific notation"),
    "amount_fullwidth": _again("金额 {found} 不是半角数字", "{found} is not in ASCII digits"),
    "amount_decimals": _ask("金额 {found} 细于 1 分", "{found} is finer than one fen"),
    "amount_too_large": _ask("金额 {found} 过大", "{found} is too large"),
    "amount_sign": _ask("{found} 的正负不对", "{found} has the wrong sign"),
    "fee_sign": _ask(
        "手续费 {found} 的正负不对:支付收费、退款退费", "fee {found} has the wrong sign: payments pay, refunds get back"
    ),
    "both_directions": _ask("收入和支出同时有金额", "it says income and expense at once"),
    "payment_with_refund": _ask("支付行带有退款金额 {found}", "a row of a payment has a refund of {found}"),
    "count": _ask("{found} 不是笔数", "{found} is no number of rows"),
    "direction": _ask("{found} 既不是收入也不是支出", "{found} is neither 收入 nor 支出"),
    "time": _again("{found} 不是 {wanted} 形式的时间", "{found} is no time of the form {wanted}"),
    "time_impossible": _ask("{found} 这一时刻不存在", "{found} is a time that does not exist"),
    "outside_period": _ask("{found} 不在账单期间内", "{found} is outside the bill's period"),
    "id_spreadsheet": _again("单号 {found} 已被表格软件改写", "a spreadsheet has rewritten the number {found}"),
    "unknown_status": _ask("不认识状态 {found}", "the status {found} is not known"),
    "unknown_kind": _ask("不认识业务类型 {found}", "the type {found} is not known"),
    "other_merchant": Rule(
        "是商户 {found} 的,不是 {wanted}",
        "it is of merchant {found}, not {wanted}",
        "换成本店的账单",
        "take our own bill",
    ),
    "other_currency": Rule(
        "币种是 {found},不是 {wanted}",
        "its currency is {found}, not {wanted}",
        "换成该币种的账单",
        "take the bill in it",
    ),
    "duplicate": _ask("与第 {first} 行重复", "it repeats line {first}"),
    "balance": _ask("余额应为 {wanted},写的是 {found}", "the balance should be {wanted} and is {found}"),
    # the footer
    "footer_differs": _ask("汇总写 {says},逐行合计为 {found}", "its total says {says}, its rows give {found}"),
    # a mapping
    "mapping_unreadable": _mapping("不是有效的 YAML:{why_zh}", "it is not valid YAML: {why_en}"),
    "mapping_twice": _mapping("写了两次", "it is given twice"),
    "mapping_unknown": _mapping("没有这一项,可选:{wanted}", "there is no such entry; there are {wanted}"),
    "mapping_missing": _mapping("缺少这一项", "it is missing"),
    "mapping_value": _mapping("应为 {wanted},写的是 {found}", "it should be {wanted} and is {found}"),
}


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong. `line` is 0 where it is about the whole file, `field` is empty where it is about the line."""

    file: str
    line: int
    field: str
    rule: str
    zh: str
    en: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        named = f"{place} {self.field}" if self.field else place
        return f"{named}: {self.zh} {self.en}"


class Wrong(Exception):
    """A field, or a whole row, that breaks a rule. `facts` fill its text."""

    def __init__(self, rule: str, field: str = "", **facts: Any) -> None:
        super().__init__(rule)
        self.rule, self.field, self.facts = rule, field, facts


class Unreadable(Wrong):
    """Reading cannot go on from here."""


class Mistakes:
    """The mistakes of one file: the first ones, and how many there are."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.first: list[Mistake] = []
        self.count = 0

    def add(self, wrong: Wrong, line: int = 0, part: str = "") -> None:
        """One more; `part` is the file inside an archive."""
        self.count += 1
        if len(self.first) < MOST:
            rule = RULES[wrong.rule]
            facts = {name: _short(fact) for name, fact in wrong.facts.items()}
            zh = f"{rule.zh.format(**facts)}。{rule.way_zh}。"
            en = f"{rule.en.format(**facts)}; {rule.way_en}."
            file = f"{self.file}/{part}" if part else self.file
            self.first.append(Mistake(file=file, line=line, field=wrong.field, rule=wrong.rule, zh=zh, en=en))


def _short(fact: object) -> str:
    """What a mistake quotes of a file: never a page of it, nor a line break."""
    text = str(fact)
    shown = text if len(text) <= 60 else f"{text[:57]}…"
    return shown if shown.isprintable() and shown.strip() else repr(shown)
