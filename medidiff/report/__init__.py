"""Report: what a run or an evaluation found, for people (report.html) and for programs (.json, .csv).

The page is made from report.json and the stored slices alone, so that it can be built again at any time, and
every number on it is one of report.json.

What it holds: `head` and `identity` (what was done, to whose scan), `measure` (a figure with how to read it),
made for a series by `alone` or `against` a reference; `pictures` of slices. `study` gathers them, `files`
puts them on disk, `unfinished` those of a run that goes on, `resumed` takes over what earlier runs found,
`table` is the CSV, `cohort` looks over many reports. `privacy` keeps names out.

How it is shown: `page`, `cohort_page` and `phantom_page` fill the templates through `render`; `curves`
chooses plots and `plots` draws them as a `figure`; `panels`, `gallery` and `orientation` show slices;
`wording` says how values read.
"""

from medidiff.report.against import ArmFigures, against
from medidiff.report.alone import alone
from medidiff.report.files import JSON, as_json, check, put, read, reading, views, write
from medidiff.report.head import head, versions
from medidiff.report.identity import identity, pseudonym
from medidiff.report.page import run_page
from medidiff.report.pictures import Images
from medidiff.report.privacy import Names, hashed
from medidiff.report.resumed import with_earlier
from medidiff.report.study import Study
from medidiff.report.unfinished import clear, keep

__all__ = [
    "JSON", "ArmFigures", "Images", "Names", "Study", "against", "alone", "as_json", "check",
    "clear", "hashed", "head", "identity", "keep", "pseudonym", "put", "read", "reading", "run_page",
    "versions", "views", "with_earlier", "write",
]  # fmt: skip
