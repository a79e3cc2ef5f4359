"""What each user may have at a time, so that nobody takes everything."""
