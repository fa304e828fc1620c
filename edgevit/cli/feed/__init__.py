"""``edgevit run`` for a feed: a video, a camera, a stream."""
