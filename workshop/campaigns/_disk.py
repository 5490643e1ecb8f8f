"""A small disk in memory, whose room can be set by the page and by the file."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
ROOMY = 2**14  # pages and files of a disk that is not full


class Disk:
    """A mounted file system; `free` sets the room that is left on it."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def free(self, pages: int = ROOMY, files: int = ROOMY) -> None:
        """Leave room for so many pages and files more than there are."""
        now = os.statvfs(self.place)
        size = (now.f_blocks - now.f_bfree + pages) * PAGE
        _mount(
            "-o",
            f"remount,size={max(size, PAGE)},nr_inodes={now.f_files - now.f_ffree + files}",
            str(self.place),
        )

    def clear(self) -> None:
        """Remove all that stands on it."""
        for path in self.place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def small_disk(place: Path) -> Iterator[Disk | None]:
    """A disk that is mounted at `place`; None where this user may mount nothing."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        _mount("-t", "tmpfs", "-o", f"size={ROOMY * PAGE}", "tmpfs", str(place))
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)
