#!/bin/sh
# Prints the network state of this machine, for `mcni trace` (docs/snapshot.md). Only reads, and writes nothing but its
# output: devices, addresses, routes, rules, neighbours, netfilter rules, sets, sysctls, listening sockets.
#
# As root on a node:    sh collect.sh > node1.txt
# Through kubectl:      kubectl debug node/node1 -i --quiet --profile=sysadmin --image=nicolaka/netshoot -- sh < collect.sh > node1.txt
#
# MCNI_CONNECTIONS=1 adds `conntrack -L` (addresses of clients). MCNI_ONLY="a b" takes only these named namespaces,
# MCNI_AT="a=/proc/12/ns/net b=/proc/34/ns/net" only these, under these names.
#
# It runs with a /tmp and a /run of its own, in memory, which nobody else sees and which end with it: there every
# network namespace gets a name, so that `ip` can say by name where the other end of a link is.

exec unshare --mount --propagation private sh <<'SCRIPT'
LC_ALL=C
export LC_ALL
node=${MCNI_NODE:-$(cat /proc/1/root/etc/hostname 2>/dev/null || uname -n)}
seen=' '

has() { command -v "$1" >/dev/null 2>&1; }

# the ip of BusyBox has no names for namespaces and says less than is needed
ip -V 2>&1 | grep -q iproute2 || { echo 'collect.sh needs the ip of iproute2 (Debian: iproute2, Alpine: apk add iproute2)' >&2; exit 1; }

# name NAME FILE: give the network namespace behind a file its name, unless it has one
name() {
    id=$(stat -L -c %i "$2" 2>/dev/null) || return 0
    case $seen in *" $id "*) return 0 ;; esac
    seen="$seen$id "
    if [ -e "/tmp/netns/$1" ]; then set -- "$1.$id" "$2"; fi
    : >"/tmp/netns/$1" && mount -n --bind "$2" "/tmp/netns/$1"
}

# show FILE COMMAND...: the output of a command in the namespace $ns, each line behind a space, then its exit status
show() {
    file=$1
    shift
    has "$1" || return 0
    printf '> %s\n' "$file"
    { nsenter --net="$ns" "$@" 2>/dev/null </dev/null; printf '\n=%s\n' "$?"; } | sed 's/^/ /'
}

# collect: everything about the namespace $ns
collect() {
    show ip-address.json ip -d -j -p address show
    show ip-netns.txt ip netns list-id
    show ip-rule.txt ip -4 rule show
    show ip-route.txt ip -4 route show table all
    show ip-neigh.txt sh -c 'ip -4 neigh show nud all; ip -4 neigh show proxy'
    show bridge-fdb.txt bridge fdb show
    show iptables.txt "$save"
    # asking for legacy tables would create them, so ask only for those that are there
    if nsenter --net="$ns" grep -q . /proc/net/ip_tables_names 2>/dev/null; then
        show iptables-legacy.txt iptables-legacy-save
    fi
    show nft.txt nft list tables
    show tc.txt tc qdisc show
    show xfrm.txt ip xfrm policy count
    show ipset.txt ipset save
    show sysctl.txt sysctl -e net.ipv4 net.netfilter net.bridge
    show ss.txt ss -ltun
    if [ -n "${MCNI_CONNECTIONS:-}" ]; then show conntrack.txt conntrack -L; fi
}

save=iptables-save
if has iptables-nft-save; then save=iptables-nft-save; fi
mount -n -t tmpfs mcni /tmp && mkdir /tmp/netns || exit 1

if [ -n "${MCNI_AT:-}" ]; then
    for pair in $MCNI_AT; do name "${pair%%=*}" "${pair#*=}"; done
else
    host=/proc/1/ns/net
    stat -L "$host" >/dev/null 2>&1 || host=/proc/$$/ns/net
    name "$node" "$host"
    for file in /run/netns/* /proc/1/root/run/netns/* /proc/1/root/var/run/docker/netns/*; do
        name "${file##*/}" "$file"
    done
    for file in /proc/[0-9]*/ns/net; do
        pid=${file#/proc/}
        name "$node-pid-${pid%%/*}" "$file"
    done
fi

mount -n --rbind /tmp /run || exit 1

# a name that is nobody's is a mistake: without this the snapshot would be empty
there=" $(cd /run/netns && printf '%s ' *)"
set -f
for wanted in ${MCNI_ONLY:-}; do
    case $there in
        *" $wanted "*) ;;
        *) printf "no network namespace '%s'; there are%s\n" "$wanted" "$there" >&2; exit 1 ;;
    esac
done
set +f

printf 'mcni-snapshot 1 %s\n' "$node"
for ns in /run/netns/*; do
    case " ${MCNI_ONLY:-${ns##*/}} " in
        *" ${ns##*/} "*)
            printf '@ %s\t%s\n' "${ns##*/}" "${ns##*/}"
            collect
            ;;
    esac
done
echo end
SCRIPT
