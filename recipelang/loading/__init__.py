"""From the name of a recipe to the checked recipe and its plan: files, what they refer to, locks, trust. Prints nothing."""
