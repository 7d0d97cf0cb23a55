#!/bin/sh
# Three rekey servers on one throw-away PostgreSQL database, on this machine, to try things
# with. Ctrl-C ends and removes everything.
#
#     contrib/three-nodes.sh
#
# It needs rekey, PostgreSQL's own programs (Debian: apt install postgresql) and curl.
# Settings: REKEY, the program; PORTS, three of them; ACCOUNT.
set -eu

rekey=${REKEY:-rekey}
account=${ACCOUNT:-demo}
set -- ${PORTS:-8081 8082 8083}
if [ $# -ne 3 ]; then
    echo "PORTS has to be three ports, such as '8081 8082 8083'" >&2
    exit 2
fi
PATH=$PATH:$(printf '%s:' /usr/lib/postgresql/*/bin)
for program in "$rekey" initdb pg_ctl createdb curl; do
    if ! command -v "$program" >/dev/null; then
        echo "$program is not there: install it (Debian: apt install postgresql curl), or say where rekey is with REKEY=/path/to/rekey" >&2
        exit 1
    fi
done

# PostgreSQL does not run as root.
as_postgres=
if [ "$(id -u)" = 0 ]; then
    as_postgres="setpriv --reuid=postgres --regid=postgres --clear-groups --"
fi

home=$(mktemp -d "${TMPDIR:-/tmp}/rekey.XXXXXX")
database=$home/database
nodes=
end() {
    trap '' INT TERM
    if [ -n "$nodes" ]; then
        kill $nodes 2>/dev/null || true # some may have ended
        wait $nodes || true
    fi
    if [ -f "$database/data/postmaster.pid" ]; then
        (cd / && $as_postgres pg_ctl -D "$database/data" -m fast -s stop) || true
    fi
    rm -rf "$home"
}
trap end EXIT
trap 'exit 0' INT TERM

# The database answers on a socket in a directory that nobody else can enter.
chmod 711 "$home"
mkdir -m 700 "$database"
if [ -n "$as_postgres" ]; then
    chown postgres: "$database"
fi
(
    cd /
    $as_postgres initdb -D "$database/data" -U rekey -A trust -E UTF8 --no-sync >/dev/null
    $as_postgres pg_ctl -D "$database/data" -l "$database/log" -s -w -o "-k $database -c listen_addresses='' -c fsync=off" start
    $as_postgres createdb -h "$database" -U rekey rekey
)
url="postgres:///rekey?host=$database&user=rekey"

# One root key for all; a data directory for each.
umask 077
"$rekey" data-key generate >"$home/root.key"
for port; do
    mkdir "$home/$port"
    "$rekey" server --database-url "$url" --data-key-file "$home/root.key" --data-dir "$home/$port" --account "$account" \
        --listen "127.0.0.1:$port" --audit "file:$home/$port/audit" >"$home/$port/out" 2>"$home/$port/log" &
    nodes="$nodes $!"
done
number=0
for port; do
    number=$((number + 1))
    pid=$(echo $nodes | cut -d' ' -f$number)
    until grep -q 'rekey is ready' "$home/$port/log"; do
        if ! kill -0 "$pid" 2>/dev/null; then
            cat "$home/$port/log" >&2
            exit 1
        fi
        sleep 0.1
    done
done
# The node that has made the account has printed its admin's key.
sed -n 's/^API key for admin: *//p' "$home"/*/out | tr -d '\n' >"$home/admin.key"

one=http://127.0.0.1:$1 two=http://127.0.0.1:$2 three=http://127.0.0.1:$3
first=$(echo $nodes | cut -d' ' -f1)
cat <<END
Three servers answer for account $account: $one, $two and $three
What they log and audit is in $home. Try in another terminal:

    token=\$(curl -sS --data-binary @$home/admin.key $one/authn/$account/admin/authenticate | base64 -w 0)
    auth="Authorization: Token token=\"\$token\""
    curl -sS -H "\$auth" -d '- !variable password' $one/policies/$account/policy/root
    curl -sS -H "\$auth" -d 'stored by the second' $two/secrets/$account/variable/password
    curl -sS -H "\$auth" $three/secrets/$account/variable/password
    kill -9 $first
    curl -sS -H "\$auth" -d 'without the first' $two/secrets/$account/variable/password
    curl -sS -H "\$auth" $three/secrets/$account/variable/password

Ctrl-C ends the servers and the database, and removes everything.
END
wait $nodes || true
echo "the servers have ended" >&2
