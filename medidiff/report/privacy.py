"""Privacy: what paths and UIDs are called in a report, so that none of them holds a patient's name.

Folders are often named after patients, and so are the files that some scanners export and the archives they
are sent in. A short hash of the whole path stands for each of them, the same in every run: whoever has the
files can find the one meant, and nobody else can. Names of NIfTI, NRRD and MetaImage files are kept: their
owner chose them, and the outputs are named after them. Outputs lie in folders called as those of the inputs,
which are hashed too; folders of derived DICOM series have names that medidiff gave them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

OWN_NAME = re.compile(r"\.(nii|nii\.gz|nrrd|nhdr|mha|mhd)$|^DICOMDIR$", re.IGNORECASE)
"""Files whose name is kept."""

OUTPUT = re.compile(r"(.+_)?\d{8}(_residual|_uncertainty)?")
"""Names that medidiff gives the folder of a derived DICOM series: they end in digits of its UID."""

TELLS_NOTHING = re.compile(r"(im|img|i|ct|mr|pt|slice|image)?[-_ ]?\d{1,6}(\.(dcm|ima))?", re.IGNORECASE)
"""Names of DICOM files that only count them."""

SUFFIX = re.compile(
    r"\.(dcm|ima|json|bval|bvec|txt|csv|tsv|zip|gz|xml|pdf|png|jpe?g|html?|md|py)$", re.IGNORECASE
)
UID = re.compile(r"\b[0-2](\.(0|[1-9]\d*)){5,}\b")
REST_OF_PATH = re.compile(r"(/[^\s:;,'\"]+)*")
DIGITS = 8


class Names:
    """What paths are called in one report.

    Args:
        inputs: the paths that the user named.
        out_dir: folder of the report; paths below it become relative to it.
        identify: everything is called what it is.
    """

    def __init__(self, inputs: Iterable[Path], out_dir: Path, *, identify: bool = False) -> None:
        self.identify = identify
        self._out = _forms([out_dir])
        self._named = _forms(inputs)
        self._roots = [(root, _where(root)) for root in (*self._out, *self._named)]

    def path(self, path: str | os.PathLike[str]) -> str:
        """A path as the report has it."""
        text = os.fspath(path)
        if self.identify:
            return text
        full = os.path.abspath(text)  # the output folder may be the current one
        forms = [(form, root) for form in (text, full) for root in self._out if _under(form, root)]
        below = next((form[len(root) :].lstrip(os.sep) for form, root in forms), None)
        if below == "":
            return "OUT"
        if below is not None and text not in self._named:
            folder, name = os.path.split(below)
            if not folder and (OUTPUT.fullmatch(name) or OWN_NAME.search(name)):
                return name
            if OWN_NAME.search(name):
                return f"{hashed(os.path.dirname(full))}/{name}"
        name = os.path.basename(text)
        if OWN_NAME.search(name):
            return name
        if TELLS_NOTHING.fullmatch(name):
            return f"{hashed(os.path.dirname(text))}/{name}"
        suffix = SUFFIX.search(name)
        return hashed(text) + (suffix.group() if suffix else "")

    def word(self, word: str) -> str:
        """A word of a command line, where it is a path or holds one.

        That is ``PATH``, ``--option=PATH`` or ``-oPATH``, each of them also with ``NAME=PATH`` instead.
        """
        if word.startswith("--"):
            option, equals, value = word.partition("=")
            head = option + equals
        else:
            head, value = (word[:2], word[2:]) if word.startswith("-") else ("", word)
        name, equals, path = value.partition("=")
        if equals and os.sep not in name and not os.path.exists(value):
            head, value = f"{head}{name}=", path
        return head + (self.path(value) if value and self._is_path(value) else value)

    def _is_path(self, value: str) -> bool:
        looks_so = os.sep in value or bool(OWN_NAME.search(value) or SUFFIX.search(value))
        return looks_so or os.path.exists(value) or value in self._out

    def text(self, text: str, known: Iterable[os.PathLike[str]] = ()) -> str:
        """A sentence whose paths and UIDs are called as above.

        Args:
            text: such as an error message.
            known: paths that may stand in it; others are found by the named inputs that they lie under.
        """
        if self.identify:
            return text
        if any(root in text for root, _ in self._roots):
            for path in sorted({os.fspath(p) for p in known}, key=len, reverse=True):
                text = text.replace(path, self.path(path))
            for _, pattern in self._roots:
                text = pattern.sub(lambda found: self.path(found.group()), text)
        return UID.sub(lambda found: hashed(found.group()), text)


def _under(path: str, root: str) -> bool:
    """Whether a path is a folder or lies below it."""
    return path == root or path.startswith(root + os.sep)


def hashed(text: str) -> str:
    """A short name for a path or UID: the same each time, and no way back."""
    name = os.path.abspath(text) if os.sep in text else text
    return sha256(name.encode(errors="surrogatepass")).hexdigest()[:DIGITS]


def _where(root: str) -> re.Pattern[str]:
    """Where a root, and what lies under it, stands in a sentence.

    One without a separator may be a word like any other: it counts where messages have paths.
    """
    if os.sep in root:
        return re.compile(re.escape(root) + REST_OF_PATH.pattern)
    word = rf"(?<![\w/.-]){re.escape(root)}"
    return re.compile(
        rf"{word}(/[^\s:;,'\"]+)+|{word}(?=/?[:'\"]|$)|(?<=Received: ){re.escape(root)}(?![\w-])"
    )


def _forms(paths: Iterable[Path]) -> list[str]:
    """The ways in which these paths can be written, the longest first."""
    found = {str(form) for p in paths for form in (p, p.absolute(), p.resolve())}
    return sorted(found - {os.sep, os.curdir}, key=len, reverse=True)
