#!/usr/bin/env python3
"""failover.py with five nodes."""
import os
import sys

os.environ["VIADUCT_FAILOVER_NODES"] = "5"
os.execv(sys.executable, [sys.executable, os.path.join(os.path.dirname(os.path.realpath(__file__)), "failover.py"),
                          *sys.argv[1:]])
