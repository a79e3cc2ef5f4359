"""How fast a run is, and what it leaves behind of that."""
