"""One file a method, with the name of the method; each holds `METHOD`."""
