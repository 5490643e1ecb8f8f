"""Which slots holidays and events touch, the events table, what events do, and days on which nothing is open."""
