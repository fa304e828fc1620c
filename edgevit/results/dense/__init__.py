"""What models say about places in a picture: masks and boxes."""
