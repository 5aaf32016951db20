"""The bar of long work, on standard error: how much is done, how fast, and how long it will still take."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from services.kernel.long_work import Tell, give_way


class _Rate(ProgressColumn):
    """Units per second, by what was done lately."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


@contextmanager
def bar(title: str, *, shown: bool = True) -> Iterator[Tell]:
    """A bar while the block runs, to be told how far the work is. `shown`: False for machines; it is not drawn either
    where standard error is no terminal. The process gives way to others from now on."""
    give_way()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal), transient=True) as progress:
        task = progress.add_task(title, total=None)

        async def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield tell
