"""Faults in runs of their own processes: killed, out of room, damaged, not finite, out of memory. `make faults`."""
