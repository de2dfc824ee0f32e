"""What is promised of frames holds with the oldest pandas that is supported, too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OLDEST = Path(sys.prefix) / "pandas-2.3"
FILES = (
    *("tests/store/test_pandas_promises.py", "tests/store/test_textarrays.py"),
    *("tests/store/test_dtypes.py", "tests/store/test_numbers.py", "tests/store/test_frame.py"),
    "tests/filters/test_frame.py",
)


def run(*arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(OLDEST)},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="no pandas 2.3 for this Python")
def test_frames_with_the_oldest_pandas():
    assert OLDEST.is_dir(), f"pandas 2.3 is missing in {OLDEST}: run `make test`"
    version = run("-c", "import pandas; print(pandas.__version__)").stdout
    assert version.startswith("2.3.")
    # what looks for faults at random does so with the newest one
    chosen = ("-k", "not TestRecording and not TestSharing", "-p", "no:cacheprovider")
    done = run("-m", "pytest", "-q", *chosen, *FILES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert sys.platform != "linux" or "skipped" not in done.stdout
