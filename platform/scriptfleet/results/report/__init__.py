"""The report of a run or a script: one HTML file with its plots in it, which loads nothing from anywhere."""
