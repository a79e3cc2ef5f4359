"""Where uploads and exports are."""
