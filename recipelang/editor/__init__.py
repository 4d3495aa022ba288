"""What an editor asks of a recipe while it is being written. Pure functions of texts; only `server` knows the protocol."""
