"""`jobsvc doctor`: what is wrong with the service here, and what to do. A file for each thing that it looks at."""
