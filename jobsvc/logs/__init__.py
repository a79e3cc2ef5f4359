"""What the process says of itself: one line an event, in one form, with what it is about."""
