"""Who goes next: users who share the slots, jobs that give way to others, runs that share the processor."""
