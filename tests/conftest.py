"""Tests run side by side (-n 2), so each process keeps to one thread."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
