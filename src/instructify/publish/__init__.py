"""Building a directory that is absent, the old build, or the complete new one."""
