"""Python verbs over the rooms below. `wiring` alone decides between real and rehearsed."""
