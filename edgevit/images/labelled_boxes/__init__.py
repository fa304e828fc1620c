"""Pictures whose objects are labelled with boxes: Pascal VOC and COCO."""
