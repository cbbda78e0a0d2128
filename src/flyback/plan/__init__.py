"""JobSpec and catalogue in, Plan out. Pure: no I/O beyond the shipped tables, no clock."""
