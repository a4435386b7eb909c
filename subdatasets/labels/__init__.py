"""Label tables of many attributes: VOC, COCO, CSV, joined and read."""
