"""Types of the current schema, written by `make types`: for TypeScript and for Python."""
