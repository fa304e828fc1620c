"""Where the answers of a feed go: lines, video, window."""
