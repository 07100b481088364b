"""What a machine can say against a description bank before an expert reads it. One file a kind of rule."""
