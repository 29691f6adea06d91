"""``import scriptfleet_report``: scriptfleet.report for interpreters that do not have scriptfleet installed.

The folder of this file is at the end of PYTHONPATH in every run, and holds nothing else.
"""

import importlib.util
import os
import sys

_ROOM = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SPEC = importlib.util.spec_from_file_location(__name__, os.path.join(_ROOM, "report.py"))
if _SPEC is None or _SPEC.loader is None:
    raise ImportError("report.py is not where it was installed: " + _ROOM)
_REPORT = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_REPORT)
sys.modules[__name__] = _REPORT
