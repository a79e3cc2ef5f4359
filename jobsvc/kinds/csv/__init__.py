"""Reading CSV files as people have them."""
