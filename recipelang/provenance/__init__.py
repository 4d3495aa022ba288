"""How a model was made: what an output folder carries, and what is read back, compared, checked and signed."""
