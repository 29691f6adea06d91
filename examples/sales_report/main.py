"""A report over sales.csv, which lies beside this file: units and revenue by region and by month.

Submit the folder: script and data travel together. Look at the totals in the output and at the small cost of it.
"""

import csv
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path


def main() -> None:
    """Print the report; with an argument, of that region alone."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else None
    units: dict[str, int] = defaultdict(int)
    revenue: dict[str, Decimal] = defaultdict(Decimal)
    with (Path(__file__).parent / "sales.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if wanted in (None, row["region"]):
                for key in ("total", row["region"], row["date"][:7]):
                    units[key] += int(row["units"])
                    revenue[key] += int(row["units"]) * Decimal(row["unit_price"])
    if not units:
        sys.exit(f"no sales in region {wanted!r}")
    for key in sorted(units):
        print(f"{key:<10} {units[key]:>6,} units {revenue[key]:>12,} EUR")


if __name__ == "__main__":
    main()
