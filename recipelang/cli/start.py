"""The entry point of the command: what must happen before anything else is imported."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Import and run the command line. A cold start makes many objects and drops none: collecting only costs."""
    gc.disable()
    # nothing here is instrumented, and looking for plug-ins reads every installed distribution
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from recipelang.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    except (MemoryError, ImportError, OSError) as error:
        if isinstance(error, MemoryError) or "memory" in str(error) or "failed to map segment" in str(error):
            os.write(
                2, b"error[E081]: out of memory\n  = help: give the process more memory (`ulimit -v` shows a limit)\n"
            )
            sys.exit(1)
        raise
    run()
