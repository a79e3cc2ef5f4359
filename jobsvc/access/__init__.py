"""Who may do what: roles and their rights, the callers that have them, and the keys by which callers are known."""
