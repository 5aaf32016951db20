"""How people prove who they are: a provider of OpenID Connect, or a one-time link."""
