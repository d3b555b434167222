"""``deiswizard userdata FILE``: a cloud-config judged, and one file for each role made from it.

Exit status: 0 good or written, 1 could not read or write, 2 something is wrong with the file or the roles.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from deiswizard.commands.saying import result, talk
from deiswizard.commands.secrets import ask_secret
from deiswizard.discovery_service import ask_service
from deiswizard.errors import AnswersError, PreconditionError
from deiswizard.local_files import read_file
from deiswizard.recommendations.base import FormField
from deiswizard.redaction import Redactor
from deiswizard.userdata.checks import check, header_problem, unreadable
from deiswizard.userdata.diff import DiffLine, as_text, difference
from deiswizard.userdata.discovery import token_of, url_problems
from deiswizard.userdata.members import Member, member_named
from deiswizard.userdata.metadata import PLANES
from deiswizard.userdata.nodes import NotYamlError
from deiswizard.userdata.problems import LineProblem
from deiswizard.userdata.reading import read
from deiswizard.userdata.roles import EtcdRole, Role, advice, role_user_data
from deiswizard.whole_file import write_whole

GOOD, WRONG = 0, 2
DISCOVERY = FormField("discovery", "Discovery URL", "secret")


@dataclass(frozen=True)
class RoleFile:
    """One file that was made: ``lines`` are what changes in the operator's own."""

    role: Role
    text: str
    lines: tuple[DiffLine, ...]
    problems: tuple[LineProblem, ...]


def run(args: argparse.Namespace) -> int:
    """Judge, or make the files."""
    text = _text_of(args.file)
    roles = roles_of(args.etcd, args.planes)
    if args.size is not None and args.size < 1:
        raise AnswersError(f"etcd cannot have {args.size} members", do="give --size 3, 5 or 7")
    words = args.members.split(",") if args.members else ()
    members = tuple(member_named(word) for word in words)
    if args.check:
        if roles:
            raise AnswersError("--check makes no files", do="leave --etcd and --planes out")
        return _judge(args, text)
    if not roles:
        raise AnswersError("no role was named", do="name --etcd or --planes, or --check")
    return _make(args, text, roles, members)


def _judge(args: argparse.Namespace, text: str) -> int:
    discovered = None
    if args.ask_discovery and (url := _readable_url(text)):
        discovered = ask_service(url)
    problems = check(text, members=args.size, discovered=discovered)
    if args.json:
        result(json.dumps({"file": str(args.file), "problems": _data(problems)}, indent=2))
    else:
        for problem in problems:
            result(problem.said(str(args.file)))
    if not problems:
        talk(f"{args.file}: nothing is wrong that can be known here")
    return WRONG if problems else GOOD


def _readable_url(text: str) -> str:
    """The discovery URL, if there is one that can be asked."""
    try:
        url = read(text).discovery
    except NotYamlError:
        return ""
    return "" if url_problems(url) else url


def _make(
    args: argparse.Namespace, text: str, roles: Sequence[Role], members: Sequence[Member]
) -> int:
    if problem := unreadable(text) or header_problem(text):
        raise AnswersError(problem.said(str(args.file)), do="correct the file")
    url = _asked_url() if args.discovery else ""
    redactor = Redactor(SecretStr(token_of(one)) for one in (url, read(text).discovery))
    size = args.size or len(members) or None
    asked = url or _readable_url(text)
    discovered = ask_service(asked) if args.ask_discovery and asked else None
    made = []
    for role in roles:
        new = role_user_data(text, role, members=members, discovery=url)
        problems = check(new, members=size, discovered=discovered)
        made.append(RoleFile(role, new, difference(text, new, redactor=redactor), problems))
    for one in made:
        for problem in one.problems:
            talk(problem.said(one.role.file_name))
        for sentence in advice(one.text):
            talk(f"{one.role.file_name}: {sentence}")
    if any(problem.blocks for one in made for problem in one.problems):
        raise AnswersError(
            "the files would not work, so none is written", do="correct what is named above"
        )
    paths = _write(args.output, made, args.force) if args.output else ()
    if args.json:
        result(json.dumps([_file_data(one, args.output) for one in made], indent=2))
    elif paths:
        result("\n".join(str(path) for path in paths))
    else:
        result("\n\n".join(_preview(one) for one in made))
    return GOOD


def roles_of(etcd: Sequence[EtcdRole], planes: Sequence[str]) -> tuple[Role, ...]:
    """The roles: the first ``--etcd`` goes with the first ``--planes``, and so on; one alone goes with all.

    Raises:
        AnswersError: the numbers do not fit, a plane is not known, or a role is there twice.
    """
    sets = [tuple(word.strip() for word in words.split(",") if word.strip()) for words in planes]
    for plane in (plane for one in sets for plane in one):
        if plane not in PLANES:
            raise AnswersError(f"there is no plane '{plane}'", do="name of: " + ", ".join(PLANES))
    if any(not one for one in sets):
        raise AnswersError(
            "a host of no plane gets no unit of Deis", do="name " + ", ".join(PLANES)
        )
    count = max(len(etcd), len(sets))
    if any(len(given) not in (0, 1, count) for given in (etcd, sets)):
        raise AnswersError(
            f"{len(etcd)} times --etcd and {len(sets)} times --planes do not go together",
            do="name as many of one as of the other, or one for all",
        )
    kinds: list[EtcdRole | None] = [*etcd] or [None]
    groups = sets or [()]
    kinds *= count if len(kinds) == 1 else 1
    groups *= count if len(groups) == 1 else 1
    roles = tuple(Role(*pair) for pair in zip(kinds, groups, strict=True))
    if len({role.name for role in roles}) < len(roles):
        raise AnswersError("a role is named twice", do="name each once")
    return roles


def _asked_url() -> str:
    given = ask_secret(DISCOVERY)
    if given is None:
        raise AnswersError(
            "no discovery URL was given",
            do="type it on a terminal, or set DEISWIZARD_SECRET_DISCOVERY",
        )
    url = given.get_secret_value().strip()
    for problem in url_problems(url):
        raise AnswersError(problem.what, do=f"give {problem.allowed}")
    return url


def _text_of(path: Path) -> str:
    content, problem = read_file("file", str(path))
    if content is None:
        what = problem.what if problem else f"{path} cannot be read"
        raise PreconditionError(what, do="name a file that can be read")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AnswersError(f"{path}:{line}: not UTF-8", do="save the file as UTF-8") from error


def _write(folder: Path, made: Sequence[RoleFile], is_forced: bool) -> tuple[Path, ...]:
    """Every file, readable by its owner alone; none where one would overwrite another's work."""
    paths = tuple(folder / one.role.file_name for one in made)
    there = [path for path in paths if path.exists() or path.is_symlink()]
    if there and not is_forced:
        raise PreconditionError(
            f"{there[0]} is there already",
            state="nothing was written",
            do="name another folder after -o, or --force to overwrite it",
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, one in zip(paths, made, strict=True):
            write_whole(path, one.text.encode())
    except OSError as error:
        raise PreconditionError(
            f"{error.filename or folder} cannot be written: {error.strerror}",
            do="name another folder after -o",
        ) from error
    return paths


def _preview(one: RoleFile) -> str:
    return f"{one.role.file_name}:\n" + (as_text(one.lines) or "nothing changes")


def _file_data(one: RoleFile, folder: Path | None) -> dict[str, object]:
    return {
        "role": one.role.name,
        "path": str(folder / one.role.file_name) if folder else None,
        "changes": [dataclasses.asdict(line) for line in one.lines],
        "problems": _data(one.problems),
    }


def _data(problems: Sequence[LineProblem]) -> list[dict[str, object]]:
    return [dataclasses.asdict(problem) for problem in problems]
