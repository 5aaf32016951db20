"""What pages of the console cost beside what they are made from."""
