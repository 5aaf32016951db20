"""The console: pages for the people of the shop. It is a client of the HTTP API and decides nothing itself."""
