"""What is kept: tables, migrations, queries, uploaded and produced files."""
