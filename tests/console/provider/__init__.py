"""A certified provider of OpenID Connect on this machine, for tests of the sign-in."""
