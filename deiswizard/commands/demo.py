"""``deiswizard demo``: the wizard on a pretend cluster, or only the pretend cluster."""

from __future__ import annotations

import argparse
import contextlib
import signal
import threading

from deiswizard.commands.guided import run as guided
from deiswizard.commands.saying import result
from deiswizard.demo.cluster import PretendCluster
from deiswizard.errors import AnswersError


def serve(scenario: str, speed: float) -> int:
    """Print how to reach the pretend cluster, then stay until ctrl-c."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with PretendCluster.start(scenario, speed=speed) as pretend:
        target = pretend.target
        options = (
            f"-p {target.port} -i {pretend.key_file} -o UserKnownHostsFile={pretend.known_hosts}"
        )
        flags = f"-i {pretend.key_file} --known-hosts {pretend.known_hosts}"
        docker = "\n".join(
            f"  docker -H {url} images    # {name}" for name, url in pretend.docker_urls.items()
        )
        result(
            f"pretend cluster '{scenario}'\n"
            f"  address      {target.text}\n"
            f"  key file     {pretend.key_file}\n"
            f"  known hosts  {pretend.known_hosts}\n"
            f"  etcd         {pretend.etcd_url}\n"
            f"  log          {pretend.log_path}\n"
            f"  received     {pretend.received}\n"
            f"  S3 outside   AWS_CA_BUNDLE={pretend.outside_store.ca_file}\n\n"
            f"  ssh {options} {target.user}@{target.host}\n"
            f"  ETCDCTL_API=2 etcdctl --no-sync -C {pretend.etcd_url} ls --recursive /deis\n"
            f"{docker}\n"
            f"  deiswizard {target.text} {flags}\n\n"
            "ctrl-c ends it",
        )
        with contextlib.suppress(KeyboardInterrupt):
            ended.wait()
    return 0


def run(args: argparse.Namespace) -> int:
    """``demo [serve] [SCENARIO]``."""
    words = list(args.words)
    serves = bool(words) and words[0] == "serve"
    if serves:
        words.pop(0)
    if len(words) > 1:
        raise AnswersError("demo takes one scenario", do="see deiswizard demo --help")
    scenario = words[0] if words else "three"
    if serves:
        return serve(scenario, args.speed)
    args.demo = scenario
    return guided(args)
