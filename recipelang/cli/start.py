"""The entry point of the command: what must happen before anything else is imported."""

from __future__ import annotations

import gc
import os
import sys

_NO_MEMORY = b"error[E081]: out of memory\n  = help: give the process more memory (`ulimit -v` shows a limit)\n"


def main() -> None:
    """Import and run the command line. A cold start makes many objects and drops none: collecting only costs."""
    gc.disable()
    # nothing here is instrumented, and looking for plug-ins reads every installed distribution
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from recipelang.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    except (MemoryError, ImportError, OSError) as error:  # so little memory that there is none to say so with
        if isinstance(error, MemoryError) or "memory" in str(error) or "failed to map segment" in str(error):
            os.write(2, _NO_MEMORY)
            sys.exit(1)
        raise
