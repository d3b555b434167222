"""A small shell: enough of ``sh`` for the commands that the wizard and a curious person send.

Knows ``;`` ``&&`` ``||`` ``|``, quotes, ``>`` ``>>`` ``<`` ``2>`` ``2>&1``, ``NAME=value`` before a
command, ``$NAME``, ``${NAME#word}``, ``$(...)`` outside quotes, ``set -e`` and
``for NAME in ...; do ...; done`` with ``break``. A command that does not exist answers 127, as in any shell.
"""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Write = Callable[[str], None]


@dataclass
class Process:
    """What a command sees: its words, its streams, and a clock that runs at the demo's speed."""

    args: list[str]
    out: Write
    err: Write
    stdin: bytes = b""
    environ: dict[str, str] = field(default_factory=dict)
    gone: threading.Event = field(default_factory=threading.Event)
    speed: float = 1.0

    def sleep(self, seconds: float) -> None:
        """Let time pass; ends early when the one who asked has gone."""
        self.gone.wait(min(seconds / self.speed, threading.TIMEOUT_MAX))


Command = Callable[[Process], int]
FileRead = Callable[[str], bytes | None]
FileWrite = Callable[[str, bytes, bool], bool]

OPERATORS = {";", "&&", "||", "|", "&"}
ERREXIT = "set -e"
"""Among the variables, where no name can be that."""

REDIRECT = re.compile(r"^\d?(>>|>|<)(&\d)?$")


class BrokenLoopError(Exception):
    """``break``: the loop around it ends."""


class Shell:
    """One host's shell."""

    def __init__(
        self,
        commands: Mapping[str, Command],
        read: FileRead,
        write: FileWrite,
        on_unknown: Callable[[str], None],
    ) -> None:
        self._commands = commands
        self._read = read
        self._write = write
        self._on_unknown = on_unknown

    def run(self, text: str, process: Process) -> int:
        """Run a command line; the exit status of its last command."""
        try:
            return self._run(_tokens(text), process)
        except BrokenLoopError:  # there was no loop: nothing to leave, as in any shell
            return 0

    def _loop(self, words: list[str], process: Process) -> int:
        """What stands between ``for`` and its ``done``."""
        start = words.index("do")
        status = 0
        for word in words[2 : start - 1]:
            process.environ[words[0]] = _plain(word, process.environ)
            try:
                status = self._run(words[start + 1 :], process)
            except BrokenLoopError:
                return 0
            if process.gone.is_set():
                break
        return status

    def _run(self, words: list[str], process: Process) -> int:
        status = 0
        pending = ";"
        index = 0
        while index < len(words):
            if words[index] == "for" and pending == ";":
                end = _end_of_loop(words, index)
                status = self._loop(words[index + 1 : end], process)
                index = end + 1
            pipeline: list[list[str]] = [[]]
            while index < len(words) and words[index] not in (";", "&&", "||", "&"):
                if words[index] == "|":
                    pipeline.append([])
                else:
                    pipeline[-1].append(words[index])
                index += 1
            operator = words[index] if index < len(words) else ";"
            index += 1
            runs = pending in (";", "&") or (pending == "&&") == (status == 0)
            if runs and pipeline == [["break"]]:
                raise BrokenLoopError
            if runs and any(pipeline):
                status = self._pipeline(pipeline, process)
                process.environ["?"] = str(status)
            elif not runs and pending == "&&" and operator == "||":
                pass
            pending = operator
            if process.gone.is_set():
                return 130
            if runs and pipeline[-1][:1] == ["exit"]:
                return status
            if operator == ";" and runs and status and process.environ.get(ERREXIT):
                return status
        return status

    def _pipeline(self, pipeline: list[list[str]], process: Process) -> int:
        status, data = 0, process.stdin
        for number, words in enumerate(pipeline):
            is_last = number == len(pipeline) - 1
            held: list[str] = []
            out = process.out if is_last else held.append
            status = self._simple(words, process, out, data)
            data = "".join(held).encode("utf-8", "surrogateescape")
        return status

    def _simple(self, words: list[str], process: Process, out: Write, stdin: bytes) -> int:
        environ = dict(process.environ)
        args: list[str] = []
        redirects: list[tuple[str, str]] = []
        index = 0
        words = [self._substituted(word, process) for word in words]
        if words == ["set", "-e"]:
            process.environ[ERREXIT] = "on"
            return 0
        while index < len(words):
            word = words[index]
            if REDIRECT.match(word):
                is_copy = "&" in word
                redirects.append((word, "" if is_copy else _plain(words[index + 1], environ)))
                index += 1 if is_copy else 2
                continue
            if not args and (match := re.match(r"^([A-Za-z_]\w*)=(.*)$", word, re.DOTALL)):
                environ[match[1]] = _plain(match[2], environ)
            else:
                args.append(_plain(word, environ))
            index += 1
        if not args:
            process.environ.update(environ)
            return 0
        streams: dict[str, Write] = {"1": out, "2": process.err}
        files: list[tuple[str, bool, list[str]]] = []
        for operator, path in redirects:
            number = operator[0] if operator[0].isdigit() else "1"
            if operator.endswith("<"):
                found = self._read(path)
                if found is None:
                    process.err(f"sh: {path}: No such file or directory\n")
                    return 1
                stdin = found
            elif "&" in operator:
                streams[number] = streams[operator[-1]]
            else:
                held: list[str] = []
                streams[number] = held.append
                files.append((path, ">>" in operator, held))
        child = Process(
            args, streams["1"], streams["2"], stdin, environ, process.gone, process.speed
        )
        status = self._call(child)
        for path, appends, held in files:
            data = "".join(held).encode("utf-8", "surrogateescape")
            if path != "/dev/null" and not self._write(path, data, appends):
                process.err(f"sh: {path}: No such file or directory\n")
                return 1
        return status

    def _substituted(self, word: str, process: Process) -> str:
        """What ``$(...)`` outside quotes prints, in its place as one word."""
        while (start := _unquoted(word, "$(")) >= 0:
            end = _end_of_substitution(word, start)
            held: list[str] = []
            inner = Process([], held.append, process.err, b"", dict(process.environ), process.gone, process.speed)  # fmt: skip
            self.run(word[start + 2 : end], inner)
            word = word[:start] + shlex.quote("".join(held).rstrip("\n")) + word[end + 1 :]
        return word

    def _call(self, process: Process) -> int:
        name = process.args[0]
        command = self._commands.get(name) or self._commands.get(name.rpartition("/")[2])
        if command is None or ("/" in name and name not in self._commands and "bin/" not in name):
            self._on_unknown(shlex.join(process.args))
            process.err(f"sh: {name}: command not found\n")
            return 127
        return command(process)


def _tokens(text: str) -> list[str]:
    """Words with their quotes still on, operators and redirections apart."""
    found: list[str] = []
    word, index = "", 0
    while index < len(text):
        char = text[index]
        if char in "'\"":
            end = index + 1
            while end < len(text) and text[end] != char:
                end += 2 if char == '"' and text[end] == "\\" else 1
            word += text[index : end + 1]
            index = end + 1
        elif char == "\\" and index + 1 < len(text):
            word += text[index : index + 2]
            index += 2
        elif text.startswith("$(", index):
            end = _end_of_substitution(text, index)
            word += text[index : end + 1]
            index = end + 1
        elif char.isspace():
            found, word = [*found, word] if word else found, ""
            if char == "\n":
                found.append(";")
            index += 1
        elif match := re.match(r"(&&|\|\||;|\||>>?&?\d?|<|&)", text[index:]):
            operator = match[1]
            if operator[0] in "<>" and word in ("1", "2"):
                operator, word = word + operator, ""
            found += [word, operator] if word else [operator]
            word = ""
            index += len(match[1])
        else:
            word += char
            index += 1
    return [*found, word] if word else found


def _unquoted(word: str, what: str) -> int:
    """Where something stands outside quotes; -1: nowhere."""
    index = 0
    while index < len(word):
        if word.startswith(what, index):
            return index
        if word[index] in "'\"":
            index = word.find(word[index], index + 1)
            if index < 0:
                return -1
        index += 1
    return -1


def _end_of_substitution(text: str, start: int) -> int:
    """Where the ``)`` of a ``$(`` stands."""
    index, depth = start + 2, 1
    while index < len(text):
        if text[index] in "'\"":
            index = text.find(text[index], index + 1)
            if index < 0:
                break
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if not depth:
            return index
        index += 1
    return len(text)


def _end_of_loop(words: list[str], start: int) -> int:
    """Where the ``done`` of a ``for`` stands."""
    depth = 0
    for index in range(start, len(words)):
        depth += {"for": 1, "done": -1}.get(words[index], 0)
        if not depth:
            return index
    return len(words)


def _plain(word: str, environ: Mapping[str, str]) -> str:
    """A word without its quotes, variables put in where sh would."""
    out, index = "", 0
    while index < len(word):
        char = word[index]
        if char == "'":
            end = word.find("'", index + 1)
            out, index = out + word[index + 1 : end], end + 1
        elif char == '"':
            end = index + 1
            inside = ""
            while end < len(word) and word[end] != '"':
                if word[end] == "\\" and word[end + 1 : end + 2] in ('"', "\\", "$", "`"):
                    inside, end = inside + "\0" + word[end + 1], end + 2
                else:
                    inside, end = inside + word[end], end + 1
            out, index = out + _variables(inside, environ), end + 1
        elif char == "\\":
            out, index = out + word[index + 1 : index + 2], index + 2
        elif char == "$" and (match := re.match(r"\$\{([A-Za-z_]\w*)#([^}]*)\}", word[index:])):
            value = environ.get(match[1], "").removeprefix(match[2])
            out, index = out + value, index + len(match[0])
        elif char == "$" and (match := re.match(r"\$\{?([A-Za-z_]\w*|\?)\}?", word[index:])):
            out, index = out + environ.get(match[1], ""), index + len(match[0])
        else:
            out, index = out + char, index + 1
    return out


def _variables(text: str, environ: Mapping[str, str]) -> str:
    text = re.sub(r"(?<!\0)\$\{?([A-Za-z_]\w*)\}?", lambda m: environ.get(m[1], ""), text)
    return text.replace("\0", "")
