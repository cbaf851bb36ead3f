"""How batch jobs are sent to providers and read back, one wire a file."""
