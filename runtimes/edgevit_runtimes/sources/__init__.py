"""Where frames come from: pictures, videos, cameras, streams. See :mod:`.address`."""
