"""What the language is, for people and for tools: everything here is derived from the Specs, nothing is told twice."""
