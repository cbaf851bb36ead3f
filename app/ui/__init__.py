"""The pages people see, one file each."""
