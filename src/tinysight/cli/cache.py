"""The commands ``tinysight cache list`` and ``tinysight cache clear``."""

import time

import typer
from rich.table import Table
from rich.text import Text

from ..errors import OutputError
from ..escapes import printable
from .console import print_line, print_table

cache = typer.Typer(
    help="List or clear decoded images and compiled programs that are kept on disk.", no_args_is_help=True
)


@cache.command("list")
def list_() -> None:
    """List the image sets in the cache, the one used last first; then the size of features."""
    from ..data.cache import cache_folder, features_folder, images_folder
    from ..data.cached_folders import folder_bytes, list_sets, max_bytes

    sets = list_sets(images_folder())
    if sets:
        table = Table(box=None, pad_edge=False)
        for column in ("image set", "last used"):
            table.add_column(column, overflow="fold")
        table.add_column("size", justify="right")
        for one in sets:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.last_used))
            table.add_row(Text(printable(one.source or f"? ({one.folder.name})")), used, _size(one.num_bytes))
        print_table(table)
    if num_bytes := folder_bytes(features_folder()):
        print_line(f"features of images, from a pretrained network: {_size(num_bytes)}")
    total, most = sum(one.num_bytes for one in sets), max_bytes()
    print_line(f"{len(sets)} image sets, {_size(total)} of at most {_size(most)}, in {cache_folder()}")


@cache.command()
def clear() -> None:
    """Remove decoded images, features and compiled programs; downloaded files stay.

    Nothing is lost: what is needed is made again. Do not use it while a training runs.
    """
    from ..data.cache import cache_folder, features_folder, images_folder
    from ..data.cached_folders import folder_bytes, remove

    folders = [images_folder(), cache_folder() / "programs", features_folder()]
    before = sum(map(folder_bytes, folders))
    for path in [path for folder in folders if folder.is_dir() for path in folder.iterdir()]:
        remove(path)
    left = sum(map(folder_bytes, folders))
    print_line(f"removed {_size(before - left)} from {cache_folder()}")
    if left:
        raise OutputError(f"{cache_folder()}: {_size(left)} in it cannot be removed; see who owns these files")


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:,.1f} MB"
