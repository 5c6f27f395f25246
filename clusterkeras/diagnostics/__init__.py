"""Is it right? Numbers and pictures of posteriors; nothing here knows a model."""
