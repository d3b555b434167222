"""The whole thing as an operator meets it: a terminal of 80 by 24, and a keyboard."""

from __future__ import annotations

import re
import shutil

import pytest

from deiswizard.cluster.image_names import normalised
from tests.flows.clusters import HOSTS, MODE_KEY, Cluster
from tests.flows.commands import words_of
from tests.flows.terminal import terminal
from tests.flows.test_preseed import needed

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


def test_both_recommendations_go_from_to_do_to_ok_by_keyboard(cluster: Cluster) -> None:
    with terminal(words_of(*cluster.flags())) as screen:
        first = screen.until(
            "Preseeding containers .*(to do|partly)", "Registration mode", r"\d of \d ok"
        )
        well = int(re.findall(r"(\d) of \d ok", first)[0])
        screen.press("4")
        screen.until("Hosts at a time", r"\[x\] deis-3")
        screen.press("Enter")
        screen.until(r"\[ Changes \d+ \]", "absent")
        screen.press("Tab")
        screen.until(r"\[ Commands", "docker pull|df -P")
        screen.press("Tab")
        screen.until(r"\[ Impact \]", "Danger")
        screen.press("Enter")
        screen.until("all hosts", "of .* steps", r"\[ Steps \]")
        screen.until("confirms it", "deis-3 has every image")
        for host in HOSTS:
            assert needed() <= {normalised(name) for name in cluster.images(host)}

        screen.press("Enter")
        screen.until("Preseeding containers .*ok", rf"{well + 1} of \d ok")
        screen.press("7")
        screen.until("Who may register", r"\(\*\) admins only")
        screen.press("Enter")
        screen.until(MODE_KEY, "enabled  ->  admin_only")
        screen.press("Enter")
        screen.until("confirms it", "the live controller answers as admin_only")
        assert cluster.value(MODE_KEY) == "admin_only"
        screen.press("u")
        screen.until("admin_only  ->  enabled")
        screen.press("Escape")
        screen.until("Who may register")
        screen.press("Escape")
        screen.until(
            "Preseeding containers .*ok", "Registration mode .*ok", rf"{well + 2} of \d ok"
        )
        screen.press("q")
        screen.until("ended with 0")


def test_a_run_may_be_left_and_found_again_and_stopped(cluster: Cluster) -> None:
    cluster.slow_down()
    with terminal(words_of("open", "preseed", *cluster.flags())) as screen:
        screen.until("Hosts at a time")
        screen.press("Enter")
        screen.until(r"\[ Changes")
        screen.press("Enter")
        screen.until("all hosts", "pull|layers")
        screen.press("Escape")
        screen.until("A run is going on", "Keep running")
        screen.press("Down", "Enter")
        screen.until("Recommendation .*Now .*Status", "going on")
        screen.press("4")
        screen.until("all hosts", "of .* steps")
        screen.resize(120, 40)
        screen.until("─{120}")
        screen.resize(50, 10)
        screen.until("enlarge")
        screen.resize(80, 24)
        screen.until("all hosts")
        screen.press("q")
        screen.until("A run is going on", "Done: ", "Leave, let it go on")
        screen.press("Down", "Down", "Enter")
        screen.until("stopping after what is going on now")
        cluster.speed_up()
        said = screen.until("ended with 0", "deiswizard show")
    assert re.search(r"run \S+: stopped", said)


def test_nonsense_is_answered_beside_the_field_and_loses_nothing(cluster: Cluster) -> None:
    with terminal(words_of("open", "preseed", *cluster.flags())) as screen:
        screen.until("Hosts at a time", "pull through the Docker API")
        screen.press("Tab")
        screen.until("Missing here")
        screen.press("Tab")
        screen.until("How many hosts pull side by side")
        for text, answer in (
            ("99x", "'99x' is not allowed; allowed"),
            ("2", "Hosts at a time\\s+2\\s"),
        ):
            screen.press("C-u")
            screen.until("'' is not allowed")
            screen.press(text)
            screen.until(answer)
            screen.press("Enter")
            screen.until("Not yet" if text == "99x" else r"\[ Changes")
        screen.press("?")
        screen.until("Keys of this page")
        screen.press("Escape", "Escape")
        screen.until("Hosts at a time")
        screen.press("q")
        screen.press("Escape")
