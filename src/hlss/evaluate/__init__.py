"""What the features are worth: embedding tables, nearest neighbours, scores by level, intervals."""
