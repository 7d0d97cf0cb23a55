#!/usr/bin/env bash
# Runs all tests, after installing what they need. Arguments go to `go test`:
#   bash test.sh            all tests
#   bash test.sh -race      with the race detector
#   bash test.sh -run Name  some of them
# What is missing and cannot be installed is an error, never a skipped test.
set -euo pipefail
cd "$(dirname "$0")"

# need COMMAND PACKAGE installs a Debian package if the command is not there.
need() {
  if command -v "$1" >/dev/null; then return; fi
  local sudo=""
  if [ "$(id -u)" != 0 ]; then sudo=sudo; fi
  if ! command -v apt-get >/dev/null; then
    echo "error: $1 is missing: install it (Debian package $2) and try again" >&2
    exit 1
  fi
  echo "installing $2" >&2
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >&2
}

if ! command -v go >/dev/null; then
  echo "error: go is missing: install Go $(sed -n 's/^go //p' go.mod) or newer from https://go.dev/dl/" >&2
  exit 1
fi
need curl curl # the tests run the lines that quickstart prints
need git git
# The servers whose passwords the tests rotate, and that keep what several nodes share.
PATH="$PATH:/usr/sbin:/sbin"
need pg_createcluster postgresql
need pgbouncer pgbouncer # the shared store has to work through a pooler
need mariadbd mariadb-server
need redis-server redis-server
need slapd slapd
need ldapwhoami ldap-utils
need sshd openssh-server
need ssh openssh-client
need busybox busybox # a host with few commands
need sudo sudo       # an administrator of a host who is not root
need perl perl-base  # knows how the system hashes passwords
need ip iproute2     # networks in which nodes are cut off
need python3 python3 # runs the programs that docs/rotation.md shows
case " $* " in
  *" -race "*) need gcc build-essential && export CGO_ENABLED=1 ;;
esac

go test "$@" ./...
