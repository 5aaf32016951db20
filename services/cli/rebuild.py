"""`aftersales rebuild VIEW|SERVICE|all`: read tables built anew beside the live ones, compared with them, and put in
place when told, while the service is at work."""

import asyncio
import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from services.cli.by_name import By, DryRun, Reason, must_be_by_somebody
from services.cli.database import must_be_there, on_database
from services.cli.environment import to_answer
from services.cli.failure import NOT_SO, Failure, told
from services.cli.operated import operated, told_of
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.kernel.event_store import CommitFailed
from services.kernel.leases import LeaseHeld, holder_named
from services.kernel.rebuild import (
    AnotherKept,
    Compared,
    Difference,
    Outcome,
    Plan,
    TakenOver,
    Unbuildable,
    discard,
    planned,
)
from services.kernel.service import Service
from services.kernel.settings import Settings
from services.kernel.workers import WorkerLost
from services.rebuilding import rebuilt, services_of, tables_by_service
from services.wording.words import Language, Words, plural

ALL: Final = "all"
MOST_PROCESSES: Final = 64


class Asked(msgspec.Struct, frozen=True):
    """What is wanted of the tables that are named."""

    swap: bool
    discard: bool
    dry_run: bool
    processes: int
    by: str
    reason: str
    json: bool


class Discarded(msgspec.Struct, frozen=True):
    """Copies that were dropped; none where there were none."""

    service: str
    tables: tuple[str, ...]


Done = Plan | Outcome | Discarded


def rebuild(
    view: Annotated[
        str, typer.Argument(metavar="VIEW|SERVICE|all", help="A read table, a service's, or all. 查询表、服务或 all。")
    ],
    swap: Annotated[bool, typer.Option("--swap", help="Put it in place if it differs. 有差异时换上。")] = False,
    drop: Annotated[bool, typer.Option("--discard", help="Drop one that was built. 丢弃已建的副本。")] = False,
    dry_run: DryRun = False,
    workers: Annotated[
        int, typer.Option(min=0, max=MOST_PROCESSES, help="Processes; 0: by cores and size. 并行进程数。")
    ] = 0,
    by: By = "",
    reason: Reason = "",
    data_dir: Annotated[Path | None, DataDir] = None,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Build read tables anew from the log, beside the live ones and while all runs; compare them row by row, and put
    them in place if --swap says so. Interrupted, it goes on where it was. Ends with 1 where they differ and were not
    put in place. 在运行中的查询表旁从日志重建一份,逐行比对;有差异时加 --swap 才换上。中断后可继续;
    有差异而未换上时退出码为 1。
    """
    with told(json):
        settings, words = to_answer(data_dir, lang)
        if swap and drop:
            raise Failure("not_together", "--swap、--discard 不能一起用。", "--swap and --discard do not go together.")
        asked = Asked(swap, drop, dry_run, workers, by, reason, json)
        done = asyncio.run(_all_done(settings, view, asked, words))
        if json:
            show_json({"dry_run": dry_run, "services": [_document(one) for one in done]})
        if any(isinstance(one, Outcome) and not (one.equal or one.swapped) for one in done):
            raise typer.Exit(NOT_SO)


async def _all_done(settings: Settings, view: str, asked: Asked, words: Words) -> list[Done]:
    async with services_of(settings) as services:
        chosen = _chosen(view, tables_by_service(services))
        must_be_by_somebody(asked.by, dry_run=asked.dry_run)
        for name in chosen:
            must_be_there(settings, name)
        done = []
        for name, tables in chosen.items():
            with on_database(settings, name), _on_rebuild(name, view):
                done.append(await _done(settings, services[name], tables, asked, words))
            if not asked.json:
                _show(paper(), words, done[-1])
        if not asked.json and any(isinstance(one, Outcome) and not (one.equal or one.swapped) for one in done):
            _line(paper(), "", words.stacked(*_advice(view)))
        return done


async def _done(settings: Settings, service: Service[Any], tables: Sequence[str], asked: Asked, words: Words) -> Done:
    if asked.dry_run:
        return await planned(service, tables)
    holder = holder_named(asked.by)
    if asked.discard:
        return await _discarded(settings, service, tables, asked)
    await planned(service, tables)  # what cannot be done is told before anybody reads that it was begun
    async with operated(
        settings,
        service.name,
        "rebuild",
        by=asked.by,
        reason=asked.reason,
        options={"tables": list(tables), "swap": asked.swap, "workers": asked.processes},
        title=f"{words.say('重建', 'rebuild')} {service.name}",
        shown=not asked.json,
    ) as tell:
        outcome = await rebuilt(
            settings, service, tables, holder, swap=asked.swap, processes=asked.processes, tell=tell
        )
        tell.outcome |= {"equal": outcome.equal, "swapped": outcome.swapped, "position": outcome.position}
    return outcome


async def _discarded(settings: Settings, service: Service[Any], tables: Sequence[str], asked: Asked) -> Discarded:
    kept = await discard(service, tables, holder_named(asked.by))
    dropped = kept.tables if kept else ()
    options, outcome = {"tables": list(tables), "discard": True}, {"dropped": list(dropped)}
    await told_of(settings, service.name, "rebuild", by=asked.by, reason=asked.reason, options=options, outcome=outcome)
    return Discarded(service.name, dropped)


# -- bad input, and what can go wrong


def _chosen(view: str, tables: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The tables that are meant, by service."""
    if view == ALL:
        return dict(tables)
    if view in tables:
        return {view: tables[view]}
    for service, names in tables.items():
        if view in names:
            return {service: [view]}
    known = [ALL, *tables, *(name for names in tables.values() for name in names)]
    close = difflib.get_close_matches(view, known, n=3)
    zh, en = (f"相近的有:{'、'.join(close)}。", f" Close to it: {', '.join(close)}.") if close else ("", "")
    raise Failure(
        "unknown_view",
        f"没有 {view} 这个查询表。{zh}可选:{'、'.join(known)}。",
        f"There is no read table {view}.{en} There are: {', '.join(known)}.",
    )


@contextmanager
def _on_rebuild(service: str, view: str) -> Iterator[None]:
    """What keeps a rebuild from its end, told with a way out."""
    try:
        yield
    except LeaseHeld as held:
        raise Failure(
            "rebuild_under_way",
            f"{service} 的查询表正在重建,操作人 {held.holder}。请等它结束。",
            f"Read tables of {service} are being rebuilt already, by {held.holder}. Wait until that has ended.",
        ) from None
    except AnotherKept as other:
        names = " ".join(other.tables)
        again = service if len(other.tables) > 1 else names
        raise Failure(
            "another_rebuild_kept",
            f"{service} 还留有上次重建的 {names}。请继续:aftersales rebuild {again} --by 姓名;"
            f"或丢弃:aftersales rebuild {service} --discard --by 姓名。",
            f"A rebuild of {names} was begun before. Go on with it: aftersales rebuild {again} --by NAME;"
            f" or drop it: aftersales rebuild {service} --discard --by NAME.",
        ) from None
    except Unbuildable as error:
        raise Failure(
            "unbuildable",
            f"{service} 的流 {error.stream} 第 {error.version} 条读不懂或算不出查询表:{error.reason}。查询表未作改动。"
            f"请检查日志:aftersales verify {service} --order {error.stream};修好后重新执行即从此处继续。",
            f"Stream {error.stream} of {service} does not come to rows, at version {error.version}: {error.reason}."
            f" The read tables were not touched. Look at its log: aftersales verify {service} --order {error.stream};"
            " mended, the same command goes on from here.",
            status=NOT_SO,
        ) from None
    except TakenOver:
        raise Failure(
            "taken_over",
            f"另一个重建接手了 {service}。查询表未作改动。",
            f"Another rebuild took {service} over. The read tables were not touched.",
            status=NOT_SO,
        ) from None
    except CommitFailed as error:
        raise Failure(
            "rows_refused",
            f"数据库不接受为 {service} 重建的行:{error}。查询表未作改动。丢弃:"
            f"aftersales rebuild {view} --discard --by 姓名。",
            f"The database refuses rows that were built for {service}: {error}. The read tables were not touched."
            f" To drop them: aftersales rebuild {view} --discard --by NAME.",
            status=NOT_SO,
        ) from None
    except WorkerLost:
        raise Failure(
            "worker_lost",
            "一个重建进程意外结束(可能内存不足)。请用较小的 --workers 重试,会从中断处继续。",
            "A process of the rebuild ended by itself (out of memory?). Try again with fewer --workers; it goes on"
            " where it was.",
        ) from None


# -- on paper


def _document(done: Done) -> dict[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(done)
    if isinstance(done, Outcome):
        built["equal"] = done.equal
    return built


def _show(console: Console, words: Words, done: Done) -> None:
    if isinstance(done, Plan):
        _show_plan(console, words, done)
    elif isinstance(done, Discarded):
        names = ", ".join(done.tables)
        zh, en = (f"已丢弃 {names} 的副本", f"dropped what was built of {names}") if names else ("没有副本", "no copy")
        _line(console, "", f"{done.service}: {words.say(zh, en)}")
    else:
        _show_outcome(console, words, done)


def _show_plan(console: Console, words: Words, plan: Plan) -> None:
    names = ", ".join(plan.tables)
    zh = f"{plan.service}:将从 {plan.events} 条事件重建 {names}"
    en = f"{plan.service}: {names} would be built from {plural(plan.events, 'event')}"
    if plan.kept:
        zh, en = f"{zh}(已完成 {plan.kept.records} 条)", f"{en} ({plan.kept.records} are done)"
    _line(console, "", words.stacked(zh, en))
    _line(console, "", words.say("未作改动", "nothing was changed") + " (--dry-run)")


def _show_outcome(console: Console, words: Words, outcome: Outcome) -> None:
    if outcome.resumed_after:
        zh = f"{outcome.service}:从第 {outcome.resumed_after} 条之后继续"
        en = f"{outcome.service}: went on behind {plural(outcome.resumed_after, 'event')}"
        _line(console, "", words.stacked(zh, en))
    for table in outcome.tables:
        _show_table(console, words, table)
    if outcome.ahead:
        zh, en = "进度超过了日志末尾", "claims to be further than the log goes"
        _line(console, "[red]✗[/] ", f"{outcome.service}: {words.say(zh, en)}")
    _line(console, "", words.stacked(*_ending(outcome)))


def _ending(outcome: Outcome) -> tuple[str, str]:
    service, position = outcome.service, outcome.position
    if outcome.swapped:
        return f"{service}:已换上,至位置 {position}", f"{service}: put in place, as of position {position}"
    if outcome.equal:
        return (
            f"{service}:至位置 {position} 完全一致,无需换上",
            f"{service}: equal as of position {position}, nothing to put in place",
        )
    return f"{service}:至位置 {position} 有差异", f"{service}: different as of position {position}"


def _advice(view: str) -> tuple[str, str]:
    """What to do where tables differ, zh and en."""
    return (
        f"查询表未作改动。换上重建的:aftersales rebuild {view} --swap --by 姓名;"
        f"丢弃:aftersales rebuild {view} --discard --by 姓名",
        f"The read tables were not touched. To put in place what was built: aftersales rebuild {view} --swap --by NAME;"
        f" to drop it: aftersales rebuild {view} --discard --by NAME",
    )


def _show_table(console: Console, words: Words, table: Compared) -> None:
    zh, en = f"{table.rows} 行", plural(table.rows, "row")
    if table.equal:
        zh, en = f"{zh},一致", f"{en}, equal"
    else:
        zh = f"{zh}:不同 {table.different},缺少 {table.missing},多出 {table.extra}"
        en = f"{en}: {table.different} different, {table.missing} missing, {table.extra} too many"
    _line(console, "[green]✓[/] " if table.equal else "[red]✗[/] ", f"{table.table} {words.say(zh, en)}")
    for one in table.first:
        _line(console, "  ", _told(words, one))
    if (more := table.different + table.missing + table.extra - len({one.key for one in table.first})) > 0:
        _line(console, "  ", words.say(f"还有 {more} 行", f"and {plural(more, 'row')} more"))


def _told(words: Words, one: Difference) -> str:
    key = "/".join(map(str, one.key))
    if one.live is None and not one.column:
        return f"{key}: {words.say('查询表缺此行', 'missing in the read table')}"
    if not one.column:
        return f"{key}: {words.say('查询表多出此行', 'should not be in the read table')}"
    live, built = words.say("现为", "is"), words.say("应为", "should be")
    return f"{key} {one.column}: {live} {one.live!r}, {built} {one.built!r}"


def _line(console: Console, mark: str, text: str) -> None:
    console.print(f"{mark}{escape(text)}", soft_wrap=True)
