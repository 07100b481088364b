"""Language as data: description banks, and their encoding into text matrices."""
