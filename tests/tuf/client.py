"""Reads a target of a TUF repository with python-tuf, and prints its bytes or the error by which it is refused.

Arguments: a directory with root.json, in which the client keeps its state; the address of the repository; the target;
the number of days by which the client's clock is ahead.
"""

import sys
from datetime import timedelta
from pathlib import Path

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater

home, base, target, days = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
state = home / "python"
state.mkdir(exist_ok=True)
try:
    root = (home / "root.json").read_bytes()
    updater = Updater(str(state), f"{base}/metadata/", str(state), f"{base}/targets/", bootstrap=root)
    updater._trusted_set.reference_time += timedelta(days=days)
    updater.refresh()
    info = updater.get_targetinfo(target)
    print(Path(updater.download_target(info)).read_text() if info else "there is no such target")
except (RepositoryError, DownloadError) as error:
    print(f"{type(error).__name__}: {error}")
