"""The dashboard: pages for people, made on the server, on which the buttons are the public routes."""
