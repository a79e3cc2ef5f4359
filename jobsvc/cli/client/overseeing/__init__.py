"""Commands for those who look after a service, which may be on another machine."""
