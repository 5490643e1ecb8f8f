"""Find the blocks of a Markdown page, and the commands in them."""

import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

INDENT = "    "
PROMPT = "$ "
SHELL = ("", "sh", "bash", "shell", "console")  # languages of fenced blocks that hold commands
PROGRAMS = (
    "forecast",
    "python",
    "pip",
    "pytest",
    "crontab",
    "systemctl",
    "docker",
    "sudo",
    "sphinx-build",
    "cd",
    "export",
    "uv",
    "git",
)
JOINED = ("&&", "|", ";")


@dataclass(frozen=True)
class Block:
    """A fenced or indented block.

    Attributes
    ----------
    line : number of its first line of text
    language : as the fence says; None for an indented block
    lines : without fence or indent
    """

    line: int
    language: str | None
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def is_directive(self) -> bool:
        """Whether it tells Sphinx to build something, such as a table of contents."""
        return (self.language or "").startswith("{")

    @property
    def is_commands(self) -> bool:
        """Whether it is a session with prompts, or a list of commands."""
        if any(line.startswith(PROMPT) for line in self.lines):
            return True
        return self.language in SHELL or (
            self.language is None and self.lines[0].split(" ")[0] in PROGRAMS
        )


@dataclass(frozen=True)
class Command:
    """One command line as it is written, continued lines joined, with the lines shown below it."""

    line: int
    text: str
    shown: tuple[str, ...] = ()

    def parts(self) -> Iterator[tuple[str, list[str]]]:
        """Its parts between ``&&`` and ``|``, each with what stands before it."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, "#"
        words, before = [], ""
        for token in lexer:
            if token in JOINED:
                yield before, words
                words, before = [], token
            else:
                words.append(token)
        yield before, words


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, from top to bottom."""
    lines = page.splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        if line.lstrip().startswith("```"):
            inside = list(
                takewhile(lambda one: not one.lstrip().startswith("```"), lines[number + 1 :])
            )
            yield Block(number + 2, line.strip().strip("`").strip(), _dedented(inside))
            number += len(inside) + 2
        elif line.startswith(INDENT) and (number == 0 or not lines[number - 1].strip()):
            inside = list(
                takewhile(lambda one: one.startswith(INDENT) or not one.strip(), lines[number:])
            )
            number, first = number + len(inside), number
            while not inside[-1].strip():
                inside.pop()
            yield Block(first + 1, None, _dedented(inside))
        else:
            number += 1


def _dedented(lines: list[str]) -> tuple[str, ...]:
    return tuple(textwrap.dedent("\n".join(lines)).split("\n"))


def commands(block: Block) -> list[Command]:
    """The commands of a block; of a session with prompts the other lines are what they print."""
    session = any(line.startswith(PROMPT) for line in block.lines)
    found: list[Command] = []
    number = 0
    while number < len(block.lines):
        line, first = block.lines[number], number
        if session and not line.startswith(PROMPT):
            if found:
                last = found.pop()
                found.append(Command(last.line, last.text, (*last.shown, line)))
        elif line.strip():
            text = line.removeprefix(PROMPT)
            while text.endswith("\\"):
                number += 1
                text = text[:-1] + block.lines[number].strip()
            found.append(Command(block.line + first, text))
        number += 1
    return found
