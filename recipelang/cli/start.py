"""The entry point of the command: what must happen before anything else is imported."""

from __future__ import annotations

import gc
import os


def main() -> None:
    """Import and run the command line. A cold start makes many objects and drops none: collecting only costs."""
    gc.disable()
    # nothing here is instrumented, and looking for plug-ins reads every installed distribution
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from recipelang.cli.main import main as run

    run()
