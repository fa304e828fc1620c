"""Pictures with answers drawn on them: superpixels, captions, masks, boxes."""
