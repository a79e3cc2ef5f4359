"""The queries: a file for each table, called by what one of its rows is; others say what they are about."""
