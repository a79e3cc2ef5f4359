"""How what several runs hand over to be written is committed: together, or each by itself."""
