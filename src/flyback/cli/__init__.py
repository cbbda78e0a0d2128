"""Words in, `api` calls out; one thin file per verb."""
