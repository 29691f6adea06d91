"""The pages that people look at: rendered here, live by server-sent events, safe against all that scripts say."""
