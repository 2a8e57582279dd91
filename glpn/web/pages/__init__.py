"""The pages of the demo, a file each."""
