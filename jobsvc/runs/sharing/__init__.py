"""Who goes next: the turns by which users share the slots, and jobs that give way to others."""
