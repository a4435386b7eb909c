"""A page that grows a sub-dataset: pictures are proposed, a person answers, and every answer is kept."""
