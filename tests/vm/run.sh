#!/bin/bash
# Boots a guest with two NICs joined back to back (n0 and n1), runs a command in it, and stops it.
#
#   run.sh [-n NIC] [-k KERNEL] [-c CPUS] [-m MIB] [-M MTU] [-H PAGES] [-t SECONDS] [-s FOLDER] [-r] COMMAND...
#
#   -n  virtio (default), virtio-plain, igb, e1000e, vmxnet3: see docs/xdp.md
#   -k  kernel series that fetch.sh has fetched (default 6.18)
#   -c  processors (default 2), -m memory in MiB (default 1024)
#   -M  MTU of both NICs, -H number of 2 MiB huge pages
#   -t  seconds for everything, boot included (default 110); COMMAND is ended 15 s before that, so that
#       its output and the kernel's messages are still seen; the guest is killed at the end
#   -s  folder that the guest has, to read and write, as /share; COMMAND starts in it
#   -r  COMMAND runs in the host's files, read-only (all its tools: ip, ethtool, curl); FOLDER is /mnt
#   -v  the guest's kernel messages to stderr
#
# The command's output is this script's output, its exit status this script's (125: the guest died).
# Needs no root and no KVM. Everything that it starts ends with it.
set -euo pipefail
CRORE_VM=${CRORE_VM:-${XDG_CACHE_HOME:-$HOME/.cache}/crore-vm}
here=$(cd "$(dirname "$0")" && pwd)
nic=virtio kernel=6.18 cpus=2 memory=1024 mtu= huge=0 seconds=110 share= host_root=0 verbose=0
while getopts n:k:c:m:M:H:t:s:rv option; do
    case $option in
        n) nic=$OPTARG ;; k) kernel=$OPTARG ;; c) cpus=$OPTARG ;; m) memory=$OPTARG ;; M) mtu=$OPTARG ;;
        H) huge=$OPTARG ;; t) seconds=$OPTARG ;; s) share=$OPTARG ;; r) host_root=1 ;; v) verbose=1 ;; *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { sed -n '2,/^set/p' "$0" | grep '^#' >&2; exit 2; }

root=$CRORE_VM/root tree=$CRORE_VM/kernel/$kernel
[ -e "$tree/vmlinuz" ] || { echo "run.sh: no kernel $kernel; run: fetch.sh $kernel" >&2; exit 2; }
initramfs=$CRORE_VM/kernel/$kernel.initramfs
if [ "$here/init" -nt "$initramfs" ] || [ "$here/initramfs.sh" -nt "$initramfs" ]; then
    CRORE_VM=$CRORE_VM "$here/initramfs.sh" "$kernel"
fi

case $nic in
    # iommu_platform: without it (VIRTIO_F_ACCESS_PLATFORM) the driver refuses zero-copy.
    virtio)       device=virtio-net-pci,disable-legacy=on,iommu_platform=on ;;
    virtio-plain) device=virtio-net-pci ;;
    igb | e1000e | vmxnet3) device=$nic ;;
    *) echo "run.sh: no NIC is called $nic" >&2; exit 2 ;;
esac
nics=()
for i in 0 1; do
    # A root port each: igb reserves slots for its virtual functions, and two on one bus collide.
    nics+=(-netdev "hubport,id=h$i,hubid=0" -device "pcie-root-port,id=port$i,chassis=$i"
        -device "$device,bus=port$i,romfile=,netdev=h$i,mac=52:54:00:00:00:1$i")
done

control=$(mktemp -d)
qemu=
finish() { [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true; rm -rf "$control"; }
trap finish EXIT
trap 'exit 130' INT TERM
printf '%s\n' "$*" > "$control/command"
cat > "$control/settings" <<SETTINGS
NIC=${nic%-plain} MTU=$mtu HUGE=$huge HOST_ROOT=$host_root SECONDS_MAX=$((seconds > 30 ? seconds - 15 : seconds))
SETTINGS
folder() { echo "local,path=$2,mount_tag=$1,security_model=none,multidevs=remap${3:-}"; }
folders=(-virtfs "$(folder control "$control")" -virtfs "$(folder share "${share:-$control}")")
[ $host_root = 0 ] || folders+=(-virtfs "$(folder root / ,readonly=on)")

LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu timeout --kill-after=2 "$seconds" nice -n 10 \
    "$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" \
    -nodefaults -no-user-config -display none -no-reboot -M q35 -accel tcg,thread=multi -cpu max,la57=off \
    -smp "$cpus" -m "$memory" -kernel "$tree/vmlinuz" -initrd "$initramfs" \
    -append "console=ttyS0 panic=-1 ${QUIET-quiet} mitigations=off nokaslr no_timer_check net.ifnames=0" \
    -serial "file:$control/console" -serial stdio "${folders[@]}" "${nics[@]}" </dev/null 2>"$control/qemu" &
qemu=$!
wait "$qemu" || true
qemu=
if [ $verbose = 1 ]; then cat "$control/ready" "$control/dmesg" >&2 2>/dev/null || cat "$control/console" >&2; fi
if [ ! -s "$control/status" ]; then
    echo "run.sh: the guest died, or needed more than $seconds s; the end of its console:" >&2
    cat "$control/qemu" >&2 || true
    tail -n 15 "$control/console" >&2 || true
    exit 125
fi
exit "$(cat "$control/status")"
