# What create and rename share; read with ".".
set -eu
export LC_ALL=C

die() { echo "busybox: $*" >&2; exit 1; }

need() { # need PROGRAM PACKAGE
    command -v "$1" >/dev/null || die "the program $1 is missing; install it with: apt install $2"
}

disk_of_instance() {
    [ "${DISK_COUNT:-0}" -gt 0 ] || return 1
    disk=${DISK_0_PATH:-}
    [ -n "$disk" ] || die "the first disk has no path on this node"
}
