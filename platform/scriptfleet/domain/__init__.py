"""What things are: job, run, usage, retry, schedule. Pure: values in, values out, no I/O, no clock of its own."""
