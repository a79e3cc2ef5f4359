"""The heart of the service: states, signals, the run loop and what clients may ask of a job."""
