"""Insert phantoms: objects of known truth, scanned many times, and what can be measured on them.

PSNR does not tell whether a lesion can be seen. Here the truth is known and there are as many scans of it as
one likes, so that noise texture, sharpness and detectability are measured rather than guessed at.
"""

from medidiff.phantom.design import Design, Insert
from medidiff.phantom.measure import Findings, measure
from medidiff.phantom.scan import Exposure, Scans, as_volume, scan
from medidiff.phantom.study import Study, make, open_study

__all__ = [
    "Design",
    "Exposure",
    "Findings",
    "Insert",
    "Scans",
    "Study",
    "as_volume",
    "make",
    "measure",
    "open_study",
    "scan",
]
