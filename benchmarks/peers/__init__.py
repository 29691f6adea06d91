"""Other systems that run `true` for each task, each as its own documentation would have it on this machine."""
