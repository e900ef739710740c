"""A worker that does what the JSON in FAKE_WORKER says, to see what becomes of the panel.

Keys: events (list of dicts, told in order), every (seconds between them), child (file that gets the PID of a
process of its own), stubborn (ignore stdin), stay (seconds to go on at the end), status (exit status), noise
(a line that is no event).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time


def obey() -> None:
    """Stops when asked, or when nobody is there any more."""
    sys.stdin.readline()
    print('@medidiff {"event": "error", "code": "cancelled", "text": "Cancelled."}', flush=True)
    os._exit(6)


def main() -> None:
    told = json.loads(os.environ["FAKE_WORKER"])
    if "child" in told:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        with open(told["child"], "w") as file:
            file.write(str(child.pid))
    if not told.get("stubborn"):
        threading.Thread(target=obey, daemon=True).start()
    if "noise" in told:
        print(told["noise"], flush=True)
    for event in told.get("events", []):
        print("@medidiff " + json.dumps(event), flush=True)
        time.sleep(told.get("every", 0.0))
    time.sleep(told.get("stay", 0.0))
    sys.stdout.flush()
    os._exit(told.get("status", 0))


if __name__ == "__main__":
    main()
