"""Who may ask for what: tokens, sessions of browsers, roles of routes, and the audit log of all that was changed."""
