"""The model: jobs, their states, and what follows from a change of them."""
