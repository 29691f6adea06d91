"""The results service: takes events into the store, and shows what is there by REST, pages, health and metrics."""
