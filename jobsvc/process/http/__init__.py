"""The HTTP server: what gunicorn lacks."""
