"""What an attribute may hold: each kind of value once, as a pydantic type, in all its directions.

A kind reads an evaluated value, checks plain data, writes both as recipe text and as JSON, reads that JSON back,
and knows its JSON Schema and the names that may be offered for it.
"""
