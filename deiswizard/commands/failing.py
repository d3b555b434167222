"""How a command fails: in words for what is known, with a report for what is not."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable

from deiswizard import __version__
from deiswizard.commands.saying import talk
from deiswizard.errors import AnswersError, WizardError

FAILED, WRONG_ANSWERS, INTERRUPTED = 1, 2, 130


def explain(error: WizardError) -> str:
    """What, what it said, the state, what to do: one line each."""
    rows = (
        ("error:", error.what),
        ("  it said:", error.said),
        ("  state:", error.state),
        ("  do:", error.do),
    )
    return "\n".join(f"{label} {text}" for label, text in rows if text)


def report(error: BaseException) -> str:
    """Write where a bug struck, without the values of variables; the file's path."""
    from deiswizard.run.folders import state_folder

    folder = state_folder() / "reports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}.txt"
    frames = traceback.extract_tb(error.__traceback__)
    where = "".join(f"{f.filename}:{f.lineno} in {f.name}\n" for f in frames)
    path.write_text(f"deiswizard {__version__}\n{type(error).__name__}\n{where}", encoding="utf-8")
    return str(path)


def guarded(call: Callable[[], int]) -> int:
    """Run ``call``; its exit status, or that of how it failed."""
    try:
        return call()
    except AnswersError as error:
        talk(explain(error))
        return WRONG_ANSWERS
    except WizardError as error:
        talk(explain(error))
        return FAILED
    except KeyboardInterrupt:
        talk("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except Exception as error:  # a bug: said in one line, without locals, which may hold secrets
        talk(
            f"error: internal error ({type(error).__name__}): this is a bug\n"
            f"  do: send {report(error)}"
        )
        return FAILED
