#!/bin/sh
# Records the four series beside this script, all at the same time. See README.md here.
#   record.sh SECONDS [FOLDER]
# Needs: python3, node, a JDK, PostgreSQL's server and pgbench (Debian: postgresql), and, when root, setpriv.
set -eu
seconds=${1:?how many seconds}
here=$(cd "$(dirname "$0")" && pwd)
out=${2:-$here}
root=$(cd "$here/../../.." && pwd)
recorder=${RECORD_NOISE:-$root/target/debug/record-noise}
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
machine="$(nproc) cores, Linux $(uname -m), shared with compilers, everything at nice 10"

record() { # NAME VERSION WORKLOAD COMMAND...
  name=$1 version=$2 workload=$3
  shift 3
  nice -n 10 "$recorder" --seconds "$seconds" --out "$out/$name.csv" --what "$name" --version "$version" \
    --workload "$workload" --machine "$machine" -- "$@"
}

record python "$(python3 --version)" "workload.py: asyncio, JSON, cyclic garbage, a bounded cache" \
  "$(command -v python3)" "$here/workload.py" "$seconds" &

record node "Node $(node --version)" "workload.mjs: HTTP server on loopback asked by itself, JSON" \
  node "$here/workload.mjs" "$seconds" &

javac -d "$work" "$here/Workload.java"
record jvm "$(java -version 2>&1 | head -n 1 | tr -d '"')" "Workload.java: G1, heap 16 to 160 MiB, memory given back" \
  java -Xms16m -Xmx160m -XX:+UseG1GC -XX:MinHeapFreeRatio=10 -XX:MaxHeapFreeRatio=30 -XX:G1PeriodicGCInterval=20000 \
  -cp "$work" Workload "$seconds" &

# PostgreSQL refuses to run as root.
bin=$(pg_config --bindir 2>/dev/null || ls -d /usr/lib/postgresql/*/bin | tail -n 1)
plain=""
if [ "$(id -u)" = 0 ]; then
  plain="setpriv --reuid=postgres --regid=postgres --clear-groups"
  mkdir "$work/pg" && chown postgres "$work/pg"
else
  mkdir "$work/pg"
fi
cd "$work"
$plain "$bin/initdb" -D "$work/pg/data" -U bench -A trust >"$work/initdb.log"
record postgres "$("$bin/postgres" --version)" "pgbench -s 4, 4 clients, 25 transactions a second; the server only" \
  $plain "$bin/postgres" -D "$work/pg/data" -k "$work/pg" -c listen_addresses= -c shared_buffers=48MB \
  -c autovacuum_naptime=15s -c checkpoint_timeout=180s -c max_wal_size=64MB 2>"$work/postgres.log" &
until $plain "$bin/pg_isready" -q -h "$work/pg"; do sleep 0.2; done
$plain "$bin/pgbench" -q -i -s 4 -h "$work/pg" -U bench postgres 2>"$work/pgbench-init.log"
nice -n 10 $plain "$bin/pgbench" -n -c 4 -R 25 -T "$seconds" -h "$work/pg" -U bench postgres >"$work/pgbench.log" 2>&1 || true
wait
