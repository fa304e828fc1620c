"""Which bundle a device uses: versions side by side, and a link to the current one."""
