"""The client's commands: what talks to a service over HTTP. Nothing here imports what the service itself runs on."""
