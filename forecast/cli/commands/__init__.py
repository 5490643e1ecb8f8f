"""What commands are called with: a file declares one command, and imports nothing that its help does not need."""
