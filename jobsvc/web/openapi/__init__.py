"""The contract in OpenAPI 3.1, made from the routes: what each takes and answers."""
