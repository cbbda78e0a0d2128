"""Result lines in, tables and summaries out. Never: measures."""
