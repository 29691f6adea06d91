#!/bin/sh
# A backup of the folder given as argument: packs it into the working folder, tests the archive, prints its size.
# Look at the I/O and at the processes: tar and gzip are counted with the script that called them.
set -eu

if [ $# -ne 1 ] || [ ! -d "$1" ]; then
    echo "usage: backup.sh FOLDER (a folder that exists here)" >&2
    exit 2
fi

archive="$(basename "$1").tar.gz"
tar -czf "$archive" -C "$(dirname "$1")" "$(basename "$1")"
gzip -t "$archive"
echo "$(tar -tzf "$archive" | wc -l) entries, $(wc -c < "$archive") bytes in $archive"
