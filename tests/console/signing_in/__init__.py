"""Who is there: sessions, one-time links, and sign-in with a provider of OpenID Connect."""
