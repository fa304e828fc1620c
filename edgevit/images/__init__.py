"""Pictures: decoding, folders of classes, the calibration split, drawing."""
