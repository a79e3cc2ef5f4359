"""The page on which a job is begun: its form, made from the JSON schema of its kind's parameters."""
