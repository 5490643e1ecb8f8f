"""Run commands of `forecast` one after another, with what only POSIX systems have hidden; ends at the first that fails.

What Windows does in another way is done in its way: a file is read and written as text unless it is opened as binary,
no file that is open can be renamed or replaced, and the byte that is locked can be read by its holder alone.
"""

import importlib
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
FUNCTIONS = (
    "chown chroot fchdir fchmod fchown fork forkpty fpathconf fstatvfs getegid geteuid getgid getgroups getloadavg "
    "getpgid getpriority getsid getuid initgroups killpg lchown lockf mkfifo mknod nice openpty posix_fallocate "
    "posix_spawn pread preadv pwrite pwritev register_at_fork sched_getaffinity sched_setaffinity sched_yield sendfile "
    "setuid statvfs sync sysconf uname wait3 wait4"
)
CONSTANTS = "O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_CLOEXEC O_SYNC O_DSYNC O_NOCTTY O_PATH O_TMPFILE"
SIGNALS = "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH"
LIBRARIES = "click filelock joblib numpy pandas pyarrow.parquet pydantic rich.console safetensors.torch scipy.stats "
LIBRARIES += "sklearn.preprocessing sqlalchemy sqlalchemy.dialects.sqlite torch torch.fx.experimental.symbolic_shapes"

BINARY = 0x8000
denied: dict[str, int] = {"replace": 0, "rename": 0}


def hide() -> None:
    """Hide it from all that is imported from here on; each library brings its own way for each system."""
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in (*FUNCTIONS.split(), *CONSTANTS.split()):
        if hasattr(os, name):
            delattr(os, name)
    for name in SIGNALS.split():
        delattr(signal, name)
    for name in ("supports_dir_fd", "supports_fd"):
        getattr(os, name).clear()
    del time.tzset
    open_, fsync, listdir = os.open, os.fsync, os.listdir

    def open_as_there(
        path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        if dir_fd is not None:
            raise NotImplementedError("dir_fd unavailable on this platform")
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", path)
        if not flags & BINARY and path != os.devnull:
            raise AssertionError(f"{path} is opened as text, which turns \\n into \\r\\n")
        return open_(path, flags & ~BINARY, mode)

    def fsync_as_there(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(9, "Bad file descriptor")
        fsync(descriptor)

    def kill_as_there(pid: int, number: int) -> None:
        raise AssertionError("on Windows this ends the process, whatever the signal")

    def name_as_there(path: Any) -> None:
        if set('<>:"|?*') & set(os.path.basename(os.fspath(path))):
            raise OSError(
                22, "The filename, directory name, or volume label syntax is incorrect", path
            )

    def busy_at_first(name: str, act: Any) -> Any:
        def call(source: Any, target: Any) -> None:
            name_as_there(target)
            if name == "rename" and os.path.lexists(target):
                raise FileExistsError(17, "File exists", source, None, target)
            denied[name] += 1
            if denied[name] % 2:  # a reader has it open
                raise PermissionError(13, "Permission denied", source, None, target)
            act(source, target)

        return call

    def listdir_as_there(path: Any = ".") -> list[str]:
        if isinstance(path, int):
            raise TypeError("listdir: path should be string, bytes, os.PathLike or None, not int")
        return listdir(path)

    os.O_BINARY = BINARY  # type: ignore[attr-defined]
    os.open, os.fsync, os.kill, os.listdir = (
        open_as_there,
        fsync_as_there,
        kill_as_there,
        listdir_as_there,
    )
    os.replace, os.rename = busy_at_first("replace", os.replace), busy_at_first("rename", os.rename)


def run(words: list[str]) -> int:
    """Run one command as the console script does; its exit code."""
    from forecast.cli import main

    sys.argv = ["forecast", *words]
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    raise AssertionError("the command did not end with an exit code")


if __name__ == "__main__":
    for library in LIBRARIES.split():
        importlib.import_module(library)
    hide()
    warnings.filterwarnings(
        "error", category=EncodingWarning, module=r"forecast\."
    )  # else the code page decides
    sys.stdout.reconfigure(encoding="cp1252", errors="strict")  # type: ignore[union-attr]
    from forecast import Forecaster  # noqa: F401

    for command in json.loads(sys.argv[1]):
        versions = sorted(path.name for path in Path("model").glob("v-*"))
        code = run([versions[1] if word == "SECOND" else word for word in command])
        sys.stdout.flush()
        if code:
            sys.exit(f"forecast {' '.join(command)} ended with {code}")
