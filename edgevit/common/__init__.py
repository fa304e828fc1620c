"""What every other package uses: errors, files, progress, console text, optional libraries."""
