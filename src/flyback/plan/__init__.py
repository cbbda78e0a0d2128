"""What a job needs, where it fits and what it costs, decided before anything is asked of a cloud.

Takes: a JobSpec and the shipped catalogue; later, what the run used. Gives: a Plan; then a
Receipt from the same prices. Never: reads anything but its own tables, a clock or a cloud.
"""
