"""The events, one definition each, by the topic they travel on."""
