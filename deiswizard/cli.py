"""The command line: arguments to one call. Everything that is started here is imported late."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from deiswizard import __version__

EPILOG = """\
without a command: guided set-up of the cluster at HOST (or DEISCTL_TUNNEL)

exit status: check and report 0 all ok, 2 something to do, 1 could not look; apply 0 done and
verified, 1 refused or failed, 2 wrong answers; userdata 0 good or written, 1 could not read or
write, 2 wrong file or roles; every command 130 when interrupted
"""

COMMANDS = (
    "open",
    "demo",
    "check",
    "report",
    "plan",
    "apply",
    "runs",
    "show",
    "resume",
    "replay",
    "undo",
    "restore",
    "userdata",
    "guided",
)

RUN = "a run's name, part of it, or: last"


def _cluster_flags(parser: argparse.ArgumentParser, *, positional: bool = True) -> None:
    if positional:
        parser.add_argument(
            "host", nargs="?", metavar="HOST", help="address of one host of the cluster"
        )
    group = parser.add_argument_group("which cluster")
    group.add_argument("--tunnel", metavar="HOST[:PORT]", help="as deisctl's; also DEISCTL_TUNNEL")
    group.add_argument("--user", help="SSH user (default: core)")
    group.add_argument(
        "--identity",
        "-i",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="private key",
    )
    group.add_argument("--ssh-config", type=Path, metavar="FILE", help="instead of ~/.ssh/config")
    group.add_argument(
        "--known-hosts",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="instead of ~/.ssh/known_hosts",
    )
    group.add_argument(
        "--demo", nargs="?", const="three", metavar="SCENARIO", help="a pretend cluster instead"
    )
    group.add_argument(
        "--speed", type=float, default=1.0, help="of the pretend cluster or a replay (default: 1)"
    )


def _run_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="run without asking")
    parser.add_argument(
        "--break-lock",
        nargs="?",
        const="",
        metavar="OWNER",
        help="break the lock of OWNER's run; without OWNER: ask (with --yes: refused)",
    )


def _screen_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plain", action="store_true", help="questions line by line, no screen")
    parser.add_argument("--ascii", action="store_true", help="no symbols beyond ASCII")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="deiswizard",
        description="A guided way to make a Deis v1 cluster ready for production.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"deiswizard {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    guided = commands.add_parser("guided", help="guided set-up (what HOST alone does)")
    _cluster_flags(guided)
    _screen_flags(guided)

    opened = commands.add_parser("open", help="one recommendation's screen")
    opened.add_argument("recommendation", metavar="RECOMMENDATION")
    _cluster_flags(opened)
    _screen_flags(opened)

    demo = commands.add_parser("demo", help="the same program on a pretend cluster")
    demo.add_argument(
        "words",
        nargs="*",
        metavar="[serve] [SCENARIO]",
        help="serve: only the pretend cluster, for ssh, etcdctl and docker",
    )
    demo.add_argument("--speed", type=float, default=1.0, help="how fast time runs (default: 1)")
    _screen_flags(demo)

    check = commands.add_parser("check", help="audit; changes nothing")
    _cluster_flags(check)
    check.add_argument("--json", action="store_true")
    check.add_argument("--ascii", action="store_true", help="no symbols beyond ASCII")

    report = commands.add_parser("report", help="production readiness, to keep or to send")
    _cluster_flags(report)
    report.add_argument("--format", choices=("md", "html"), help="default: by FILE's name, else md")
    report.add_argument("-o", "--output", type=Path, metavar="FILE", help="instead of stdout")

    plan = commands.add_parser("plan", help="what would change and run")
    plan.add_argument("recommendations", nargs="+", metavar="RECOMMENDATION")
    plan.add_argument("-a", "--answers", type=Path, metavar="FILE")
    plan.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="save it: the plan as JSON, or the script"
    )
    plan.add_argument(
        "--script", action="store_true", help="a shell script that does the same by hand"
    )
    plan.add_argument("--host", metavar="HOST", help="address of one host of the cluster")
    _cluster_flags(plan, positional=False)
    plan.add_argument("--json", action="store_true")

    apply = commands.add_parser("apply", help="run a saved plan, or answers")
    apply.add_argument("what", nargs="+", metavar="PLAN.json | RECOMMENDATION")
    apply.add_argument("-a", "--answers", type=Path, metavar="FILE")
    _run_flags(apply)
    apply.add_argument("--host", metavar="HOST", help="address of one host of the cluster")
    _cluster_flags(apply, positional=False)
    apply.add_argument("--json", action="store_true")

    runs = commands.add_parser("runs", help="what was run, newest first")
    runs.add_argument("--json", action="store_true")
    show = commands.add_parser("show", help="how far a run got")
    show.add_argument("run", metavar="RUN", help=RUN)
    form = show.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true", help="the record, to keep or to send")
    replay = commands.add_parser("replay", help="see a run again")
    replay.add_argument("run", metavar="RUN", help=RUN)
    replay.add_argument("--speed", type=float, default=1.0, help="0: at once (default: 1)")
    replay.add_argument("--json", action="store_true", help="events as JSON lines")
    _screen_flags(replay)
    resume = commands.add_parser("resume", help="go on with a run that was cut off, or follow it")
    resume.add_argument("run", metavar="RUN", help=RUN)
    _run_flags(resume)
    resume.add_argument("--json", action="store_true")
    resume.add_argument("--take-over", action="store_true", help=argparse.SUPPRESS)
    _cluster_flags(resume)
    undo = commands.add_parser("undo", help="take a run back, or the part of it that was done")
    undo.add_argument("run", metavar="RUN", help=RUN)
    _run_flags(undo)
    undo.add_argument("--json", action="store_true")
    _cluster_flags(undo)
    restore = commands.add_parser("restore", help="read a backup again, try it, or write it back")
    restore.add_argument(
        "backup", metavar="BACKUP", help="its folder, s3://bucket/prefix/NAME, its name, or: last"
    )
    restore.add_argument("--check", action="store_true", help="only read every file again")
    restore.add_argument(
        "--scratch",
        nargs="?",
        const="",
        metavar="URL",
        help="restore its database into an empty PostgreSQL server, postgresql://user@host/postgres; "
        "without URL: from DEISWIZARD_SCRATCH",
    )
    restore.add_argument(
        "--database",
        choices=("auto", "wal", "sql", "none"),
        default="auto",
        help="from the db_wal bucket, or from the dump (default: db_wal for one that has never run, else the dump)",
    )
    restore.add_argument("--private-key", metavar="FILE", help="opens a backup for a recipient")
    restore.add_argument("--endpoint", metavar="URL", help="of an S3 store other than Amazon's")
    restore.add_argument("--profile", metavar="NAME", help="of the AWS configuration")
    restore.add_argument("--confirm", metavar="WORDS", help="for a cluster that is not new")
    _run_flags(restore)
    restore.add_argument("--host", metavar="HOST", help="address of one host of the new cluster")
    _cluster_flags(restore, positional=False)
    restore.add_argument("--json", action="store_true")
    _userdata(commands)
    return parser


def _userdata(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "userdata", help="judge a cloud-config, or make one file of it for each role of a host"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="your user-data; is not changed")
    parser.add_argument("--check", action="store_true", help="only say what is wrong with it")
    parser.add_argument(
        "--etcd",
        action="append",
        default=[],
        choices=("member", "proxy"),
        help="what etcd is on hosts of this role; again for another role",
    )
    parser.add_argument(
        "--planes",
        action="append",
        default=[],
        metavar="PLANE[,PLANE]",
        help="of control, data, router; again for another role: the first goes with the first --etcd",
    )
    parser.add_argument(
        "--members",
        metavar="MEMBER[,MEMBER]",
        help="NAME=http://ADDRESS:2380 or addresses: where proxies find etcd, instead of the discovery URL",
    )
    parser.add_argument(
        "--discovery",
        action="store_true",
        help="put in a discovery URL: typed unseen, or from DEISWIZARD_SECRET_DISCOVERY",
    )
    parser.add_argument("--size", type=int, metavar="N", help="how many members etcd is to have")
    parser.add_argument(
        "--ask-discovery",
        action="store_true",
        help="ask the discovery service how many members the URL is for, and whether it was used",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="write there; without: show the changes"
    )
    parser.add_argument("--force", action="store_true", help="overwrite files of the same names")
    parser.add_argument("--json", action="store_true")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in (*COMMANDS, "-h", "--help", "--version"):
        words.insert(0, "guided")
    args = build_parser().parse_args(words)
    module = importlib.import_module(f"deiswizard.commands.{args.command}")
    from deiswizard.commands.failing import guarded

    return guarded(lambda: int(module.run(args)))
