"""Readers of what commands print: lines to events, for progress only, never for truth."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from deiswizard.cluster.image_names import split_tag
from deiswizard.run.events import Event, ImageChecked, LayerProgressed

LAYER = re.compile(r"^([0-9a-f]{12}): (.+)$")
FROM = re.compile(r"^(\S+): Pulling from (\S+)$")
STATUS = re.compile(r"^Status: (?:Downloaded newer image for|Image is up to date for) (\S+)$")


class PullLines:
    """``docker pull`` without a terminal, one pull after the other (the preseed script).

    ``images`` are the names expected, to tell which one a ``TAG: Pulling from REPOSITORY`` means:
    Docker prints the repository without its registry.
    """

    def __init__(self, step: str, images: Sequence[str], clock: Callable[[], float]) -> None:
        self._step = step
        self._images = images
        self._clock = clock
        self._image = ""

    def read(self, line: str) -> Event | None:
        """The event that a line means, None when it means none."""
        if match := FROM.match(line):
            self._image = self._named(match[2], match[1])
        elif match := STATUS.match(line):
            image, self._image = match[1], ""
            return ImageChecked(at=self._clock(), step=self._step, image=image, present=True)
        elif self._image and (match := LAYER.match(line)):
            return LayerProgressed(
                at=self._clock(), step=self._step, image=self._image, layer=match[1], state=match[2]
            )
        return None

    def _named(self, repository: str, tag: str) -> str:
        wanted = repository.removeprefix("library/")
        for image in self._images:
            name, image_tag = split_tag(image)
            if image_tag == tag and (name == wanted or name.endswith(f"/{wanted}")):
                return image
        return f"{repository}:{tag}"


READERS: dict[str, type[PullLines]] = {"preseed": PullLines}
"""What ``CommandStep.progress`` may name."""
