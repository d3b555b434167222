"""Answers: choices in a YAML file, one section for each recommendation. Never a secret.

```yaml
preseed:
  hosts: [deis-1, deis-2]
  method: pull
registration:
  mode: admin_only
```
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr, ValidationError

from deiswizard.cluster.snapshot import Snapshot
from deiswizard.errors import AnswersError
from deiswizard.recommendations.base import Choices, FormField, Problem, Recommendation
from deiswizard.run.folders import config_folder
from deiswizard.whole_file import write_whole

OTHER_SECTIONS = ("cluster",)
NO_SECRETS = "a secret does not belong in this file: it is typed, or given by the environment"


def allowed_values(recommendation: Recommendation, field: str) -> tuple[str, ...]:
    """The values that a field with a closed list may have; empty when it is open."""
    schema = recommendation.choices.model_json_schema()
    found = schema.get("properties", {}).get(field, {})
    return tuple(str(value) for value in found.get("enum", ()))


def build(
    recommendation: Recommendation, raw: Mapping[str, Any]
) -> tuple[Choices | None, tuple[Problem, ...]]:
    """The typed choices, with what they name on this machine read, or what is wrong, in sentences.

    There may be choices and problems that do not block.
    """
    choices, problems = validated(recommendation, raw)
    if choices is None or recommendation.read is None:
        return choices, problems
    filled, problems = recommendation.read(choices)
    return (None if any(problem.blocks for problem in problems) else filled), tuple(problems)


def judged(
    recommendation: Recommendation, snapshot: Snapshot, raw: Mapping[str, Any]
) -> tuple[Choices | None, tuple[Problem, ...]]:
    """As ``build``, and judged for a cluster: no choices when anything blocks."""
    choices, problems = build(recommendation, raw)
    if choices is None:
        return None, problems
    problems = (*problems, *recommendation.check_choices(snapshot, choices))
    return (None if any(problem.blocks for problem in problems) else choices), problems


def validated(
    recommendation: Recommendation, raw: Mapping[str, Any]
) -> tuple[Choices | None, tuple[Problem, ...]]:
    """The typed choices of raw values alone; no file is read."""
    try:
        return recommendation.choices.model_validate(dict(raw)), ()
    except ValidationError as error:
        return None, tuple(_problem(recommendation, item) for item in error.errors())


def _problem(recommendation: Recommendation, item: Any) -> Problem:
    field = str(item["loc"][0]) if item["loc"] else ""
    value = item.get("input")
    if any(f.name == field and f.kind == "secret" for f in recommendation.fields):
        return Problem(field=field, what=str(item["msg"]).removeprefix("Value error, "))
    match item["type"]:
        case "missing":
            return Problem(field=field, what=f"{field} is missing")
        case "extra_forbidden":
            known = ", ".join(recommendation.choices.model_fields)
            return Problem(
                field=field, what=f"there is no field '{field}'{_near(field, known)}", allowed=known
            )
        case "literal_error":
            values = allowed_values(recommendation, field)
            if isinstance(value, bool):
                return Problem(
                    field=field,
                    what="YAML reads this bare word as true or false; put it in quotes",
                    allowed=", ".join(values),
                )
            return Problem(
                field=field,
                what=f"'{value}' is not allowed{_near(str(value), ', '.join(values))}",
                allowed=", ".join(values),
            )
        case "greater_than_equal" | "less_than_equal" | "int_parsing" | "int_type":
            schema = recommendation.choices.model_json_schema()["properties"].get(field, {})
            allowed = f"a number from {schema.get('minimum', '')} to {schema.get('maximum', '')}"
            return Problem(field=field, what=f"'{value}' is not allowed", allowed=allowed)
        case "value_error":
            return Problem(field=field, what=str(item["msg"]).removeprefix("Value error, "))
        case _:
            return Problem(field=field, what=f"{item['msg']} (got {value!r:.60})")


def _near(word: str, known: str) -> str:
    match = difflib.get_close_matches(word, known.split(", "), n=1)
    return f" (did you mean '{match[0]}'?)" if match else ""


@dataclass(frozen=True)
class AnswersFile:
    """A file that was read. ``sections`` by recommendation; ``lines`` by (section, field)."""

    path: Path
    sections: Mapping[str, Mapping[str, Any]]
    lines: Mapping[tuple[str, str], int]

    def choices_for(
        self,
        recommendation: Recommendation,
        snapshot: Snapshot,
        ask: Callable[[FormField], SecretStr | None] = lambda field: None,
    ) -> Choices:
        """The file's answers over the recommendation's defaults for this cluster.

        Secrets stand in no file: ``ask`` is asked for those that are to be typed.

        Raises:
            AnswersError: names file, line, field, what is wrong and what is allowed.
        """
        section = self.sections.get(recommendation.id, {})
        raw = {**recommendation.defaults(snapshot).model_dump(), **section}
        shown_to = {**recommendation.defaults(snapshot).model_dump(mode="json"), **section}
        secrets = [field for field in recommendation.fields if field.kind == "secret"]
        if written := [field for field in secrets if section.get(field.name)]:
            wrong = (Problem(field=f.name, what=NO_SECRETS) for f in written)
            raise AnswersError("\n".join(self._line(recommendation, p) for p in wrong))
        for field in secrets:
            is_asked = field.shown is None or field.shown(snapshot, shown_to)
            if is_asked and (secret := ask(field)) is not None:
                raw[field.name] = secret
        choices, problems = judged(recommendation, snapshot, raw)
        if choices is None:
            blocking = [problem for problem in problems if problem.blocks]
            raise AnswersError("\n".join(self._line(recommendation, p) for p in blocking))
        return choices

    def _line(self, recommendation: Recommendation, problem: Problem) -> str:
        name = recommendation.id
        line = self.lines.get((name, problem.field)) or self.lines.get((name, ""), 1)
        allowed = f"; allowed: {problem.allowed}" if problem.allowed else ""
        field = f"{name}.{problem.field}" if problem.field else name
        return f"{self.path}:{line}: {field}: {problem.what}{allowed}"


def load(path: Path, known: tuple[str, ...]) -> AnswersFile:
    """Read an answers file; ``known`` are the ids of the recommendations.

    Raises:
        AnswersError: it cannot be read, is no YAML, or has a section that nobody knows.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except OSError as error:
        raise AnswersError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AnswersError(f"{path}: is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise AnswersError(
            f"{path}:{line}: is not YAML: {getattr(error, 'problem', error)}"
        ) from error
    if data is None:
        return AnswersFile(path, {}, {})
    if not isinstance(data, dict) or not isinstance(node, yaml.MappingNode):
        raise AnswersError(f"{path}:1: must hold sections such as 'preseed:'")
    lines: dict[tuple[str, str], int] = {}
    sections: dict[str, Mapping[str, Any]] = {}
    for key, value in node.value:
        name = str(key.value)
        line = key.start_mark.line + 1
        lines[name, ""] = line
        if name in OTHER_SECTIONS:
            continue
        if name not in known:
            raise AnswersError(
                f"{path}:{line}: there is no recommendation '{name}'{_near(name, ', '.join(known))}; "
                f"allowed: {', '.join(known)}"
            )
        if not isinstance(value, yaml.MappingNode):
            raise AnswersError(f"{path}:{line}: {name} must hold fields such as 'method: pull'")
        for field, _ in value.value:
            lines[name, str(field.value)] = field.start_mark.line + 1
        sections[name] = data[name]
    return AnswersFile(path, sections, lines)


def file_of(cluster: str) -> Path:
    """Where a cluster's answers are kept."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", cluster).lstrip(".") or "cluster"
    return config_folder() / "answers" / f"{name}.yaml"


def remembered(cluster: str, recommendation: Recommendation) -> dict[str, Any]:
    """What was answered last time; empty when nothing was, or it can no longer be read."""
    try:
        data = yaml.safe_load(file_of(cluster).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    section = data.get(recommendation.id) if isinstance(data, dict) else None
    if not isinstance(section, dict):
        return {}
    hidden = {field.name for field in recommendation.fields if field.kind == "secret"}
    return {n: value for n, value in section.items() if isinstance(n, str) and n not in hidden}


def first_values(recommendation: Recommendation, snapshot: Snapshot) -> dict[str, Any]:
    """What the guided way begins with: the defaults for this cluster and what is suggested to somebody who can
    type, under what was answered last time where that still holds.
    """
    defaults = recommendation.defaults(snapshot).model_dump(mode="json")
    raw = {**defaults, **recommendation.suggested}
    fields = {field.name: field for field in recommendation.fields}
    for name, value in remembered(snapshot.cluster, recommendation).items():
        if name not in raw:
            continue
        if name in fields:
            value = _still_offered(fields[name], snapshot, value, raw[name])
        if validated(recommendation, {**raw, name: value})[0] is not None:
            raw[name] = value
    return raw | {name: defaults[name] for name in _traps(recommendation, snapshot, raw)}


def _traps(recommendation: Recommendation, snapshot: Snapshot, raw: Mapping[str, Any]) -> set[str]:
    """Fields that stand in the way and are not asked now, so that nobody could mend them: what was answered in
    another state of the cluster.
    """
    hidden = {f.name for f in recommendation.fields if f.shown and not f.shown(snapshot, dict(raw))}
    choices, _ = validated(recommendation, raw)
    problems = () if choices is None else recommendation.check_choices(snapshot, choices)
    return hidden.intersection(problem.field for problem in problems if problem.blocks)


def _still_offered(field: FormField, snapshot: Snapshot, value: Any, default: Any) -> Any:
    """What of a remembered value can be chosen now; the default where nothing of it can be."""
    if field.options is None or field.kind not in ("many", "matrix"):
        return value
    offered = {option.value for option in field.options(snapshot) if option.enabled}
    if isinstance(value, list):
        return [one for one in value if one in offered] or (default if value else value)
    return value if isinstance(value, dict) and set(value) == offered else default


def remember(cluster: str, recommendation: Recommendation, choices: Choices) -> Path:
    """Keep answers for next time; the other recommendations' stay. Fields of kind secret do not go in.

    Raises:
        OSError: the file cannot be written.
    """
    path = file_of(cluster)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        data = None
    kept = data if isinstance(data, dict) else {}
    hidden = {field.name for field in recommendation.fields if field.kind == "secret"}
    values = choices.model_dump(mode="json", exclude=hidden)
    kept = {"cluster": cluster, **kept, recommendation.id: values}
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
    write_whole(path, text.encode())
    return path
