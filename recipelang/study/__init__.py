"""Studies: one recipe in several variants, and what comes out of them, side by side."""
