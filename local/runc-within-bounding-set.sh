#!/usr/bin/env bash
# Run runc, having dropped from its input the capabilities that this host does not have.
#
# Older Docker asks for every capability it knows when a container is privileged, and runc refuses when root itself
# lacks one ("unable to apply caps: operation not permitted"). That is so on machines that are containers or small
# virtual machines themselves. local/docker.sh installs this file as Docker's default runtime there, and only there.
set -euo pipefail

bundle=.
process_file=""
previous=""
for argument in "$@"; do
  case "$previous" in
    --bundle | -b) bundle=$argument ;;
    --process | -p) process_file=$argument ;;
  esac
  case "$argument" in
    --bundle=*) bundle=${argument#*=} ;;
    --process=*) process_file=${argument#*=} ;;
  esac
  previous=$argument
done

# The names in bit order, as in linux/capability.h.
names=(CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
  NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
  SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
  MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE)
bounding=$((16#$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)))
missing="[]"
for bit in "${!names[@]}"; do
  if (((bounding >> bit & 1) == 0)); then
    missing=${missing%]}
    [[ $missing == "[" ]] || missing+=,
    missing+="\"CAP_${names[$bit]}\"]"
  fi
done

drop_missing() { # FILE, JQ_PATH_OF_CAPABILITIES
  [[ -f $1 ]] || return 0
  jq --argjson missing "$missing" "if $2 then $2 |= map_values(. - \$missing) else . end" "$1" >"$1.within"
  cat "$1.within" >"$1"
  rm -f "$1.within"
}

# A command names at most one of the two: create and run name a bundle, exec names a process.
for argument in "$@"; do
  case "$argument" in
    create | run) drop_missing "$bundle/config.json" .process.capabilities ;;
    exec) [[ -z $process_file ]] || drop_missing "$process_file" .capabilities ;;
  esac
done
exec runc "$@"
