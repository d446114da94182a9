#!/bin/sh
# Prints the network state of this machine, for `mcni trace` (docs/snapshot.md). Only reads, and writes nothing but its
# output: devices, addresses, routes, rules, neighbours, netfilter rules, sets, sysctls, listening sockets.
#
# As root on a node:    sh collect.sh > node1.txt
# Through kubectl:      kubectl debug node/node1 -i --quiet --profile=sysadmin --image=nicolaka/netshoot -- sh < collect.sh > node1.txt
#
# MCNI_CONNECTIONS=1 adds `conntrack -L` (addresses of clients). MCNI_ONLY="a b" takes only these named namespaces,
# MCNI_AT="a=/proc/12/ns/net b=/proc/34/ns/net" only these, under these names. MCNI_NODE is the machine's name, if
# it is not to be that of /etc/hostname. What is no printable ASCII in a name, spaces and slashes become _.
#
# It runs with a /tmp and a /run of its own, in memory, which nobody else sees and which end with it: there every
# network namespace gets a name, so that `ip` can say by name where the other end of a link is.

exec unshare --mount --propagation private sh <<'SCRIPT'
LC_ALL=C
export LC_ALL
seen=' '

# the sysctls that are collected, and no others: some are secrets (tcp_fastopen_key)
conf='accept_local accept_redirects accept_source_route arp_accept arp_announce arp_evict_nocarrier arp_filter
    arp_ignore arp_notify bc_forwarding disable_policy disable_xfrm drop_gratuitous_arp drop_unicast_in_l2_multicast
    forwarding ignore_routes_with_linkdown log_martians mc_forwarding medium_id promote_secondaries proxy_arp
    proxy_arp_pvlan route_localnet rp_filter secure_redirects send_redirects shared_media src_valid_mark'
neigh='app_solicit base_reachable_time_ms delay_first_probe_time gc_stale_time gc_thresh[123] locktime mcast_resolicit
    mcast_solicit proxy_delay proxy_qlen retrans_time_ms ucast_solicit unres_qlen'
ipv4='fib_multipath_hash_fields fib_multipath_hash_policy fib_multipath_use_neigh fwmark_reflect
    icmp_echo_ignore_all icmp_echo_ignore_broadcasts icmp_errors_use_inbound_ifaddr icmp_msgs_burst icmp_msgs_per_sec
    icmp_ratelimit icmp_ratemask ip_autobind_reuse ip_default_ttl ip_dynaddr ip_early_demux ip_forward
    ip_forward_update_priority ip_forward_use_pmtu ip_local_port_range ip_local_reserved_ports ip_no_pmtu_disc
    ip_nonlocal_bind ip_unprivileged_port_start ipfrag_high_thresh ipfrag_max_dist ipfrag_time nexthop_compat_mode
    ping_group_range raw_l3mdev_accept route[.]error_burst route[.]error_cost route[.]min_adv_mss route[.]min_pmtu
    route[.]mtu_expires route[.]redirect_load route[.]redirect_number route[.]redirect_silence
    tcp_abort_on_overflow tcp_base_mss tcp_early_demux tcp_ecn tcp_fin_timeout tcp_fwmark_accept tcp_invalid_ratelimit
    tcp_keepalive_intvl tcp_keepalive_probes tcp_keepalive_time tcp_l3mdev_accept tcp_max_syn_backlog tcp_migrate_req
    tcp_min_snd_mss tcp_mtu_probing tcp_no_metrics_save tcp_orphan_retries tcp_retries[12] tcp_rfc1337 tcp_rto_max_ms
    tcp_rto_min_us tcp_sack tcp_syn_linear_timeouts tcp_syn_retries tcp_synack_retries tcp_syncookies tcp_timestamps
    tcp_tw_reuse tcp_window_scaling udp_early_demux udp_l3mdev_accept
    vs[.]am_droprate vs[.]amemthresh vs[.]backup_only vs[.]cache_bypass vs[.]conn_reuse_mode vs[.]conntrack
    vs[.]drop_entry vs[.]drop_packet vs[.]expire_nodest_conn vs[.]expire_quiescent_template vs[.]ignore_tunneled
    vs[.]nat_icmp_send vs[.]pmtu_disc vs[.]run_estimation vs[.]schedule_icmp vs[.]secure_tcp vs[.]sloppy_sctp
    vs[.]sloppy_tcp vs[.]snat_reroute'
conntrack='acct buckets checksum count events expect_max generic_timeout gre_timeout gre_timeout_stream helper
    icmp_timeout log_invalid max sctp_timeout_[a-z_]+ tcp_be_liberal tcp_ignore_invalid_rst tcp_loose tcp_max_retrans
    tcp_timeout_[a-z_]+ udp_timeout udp_timeout_stream'
bridge='call-arptables call-ip6tables call-iptables filter-pppoe-tagged filter-vlan-tagged pass-vlan-input-dev'

# any WORDS: an expression for one of them
any() { echo "$1" | tr -s ' \n' '||' | sed 's/|$//'; }
sysctls="net[.](ipv4[.](conf[.][^ ]+[.]($(any "$conf"))|neigh[.][^ ]+[.]($(any "$neigh"))|$(any "$ipv4"))|netfilter[.]nf_conntrack_($(any "$conntrack"))|bridge[.]bridge-nf-($(any "$bridge")))"

has() { command -v "$1" >/dev/null 2>&1; }

# plain TEXT: a text as a name, without anything that ends a step of a path, a line, or a word of a list
plain() {
    set -- "$(printf '%.200s' "$1" | tr -c '!-.0-~' _)"
    case $1 in '' | .*) set -- "_$1" ;; esac
    printf '%s' "$1"
}

# the first line of /etc/hostname that is no comment: hostname(5)
own_name() { sed -n 's/^[[:space:]]*//; s/[[:space:]]*$//; /^#/d; /./{p;q;}' /proc/1/root/etc/hostname 2>/dev/null; }

node=${MCNI_NODE:-$(own_name)}
node=$(plain "${node:-$(uname -n)}")

# the ip of BusyBox has no names for namespaces and says less than is needed
ip -V 2>&1 | grep -q iproute2 || { echo 'collect.sh needs the ip of iproute2 (Debian: iproute2, Alpine: apk add iproute2)' >&2; exit 1; }

# name NAME FILE: give the network namespace behind a file its name, unless it has one
name() {
    id=$(stat -L -c %i "$2" 2>/dev/null) || return 0
    case $seen in *" $id "*) return 0 ;; esac
    seen="$seen$id "
    set -- "$(plain "$1")" "$2"
    while [ -e "/tmp/netns/$1" ]; do set -- "$1.$id" "$2"; done
    : >"/tmp/netns/$1"
    mount -n --bind "$2" "/tmp/netns/$1" 2>/dev/null || rm "/tmp/netns/$1" # its last process has just ended
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
    show bridge-vlan.txt bridge vlan show
    # of WireGuard no key but the public ones of peers: never `wg show all dump`
    if has wg; then show wg.txt sh -c 'for part in allowed-ips endpoints listen-port fwmark; do wg show all "$part"; done'; fi
    show iptables.txt "$save"
    # asking for legacy tables would create them, so ask only for those that are there
    if nsenter --net="$ns" grep -q . /proc/net/ip_tables_names 2>/dev/null; then
        show iptables-legacy.txt iptables-legacy-save
    fi
    if nsenter --net="$ns" grep -q . /proc/net/arp_tables_names 2>/dev/null; then
        if has arptables-legacy-save; then show arptables-legacy.txt arptables-legacy-save
        else show arptables-legacy.txt cat /proc/net/arp_tables_names; fi
    fi
    # those of ebtables have no such list: a module of theirs is in use while its table has rules
    if grep -q ^ebtable_ /proc/modules 2>/dev/null; then show ebtables-legacy.txt grep ^ebtable_ /proc/modules; fi
    if has nft; then show nft.txt sh -c "$tables"; fi
    # ipvsadm would load the module
    if has ipvsadm; then show ipvsadm.txt sh -c '[ ! -e /proc/net/ip_vs ]||ipvsadm -Sn'; fi
    show nft.json nft -j list ruleset
    show tc.txt tc qdisc show
    if has tc; then show tc-filter.txt sh -c "$filters"; fi
    if has bpftool; then show bpf.txt sh -c "$programs"; fi
    show uname.txt uname -r
    show xfrm.txt ip xfrm policy count
    show ipset.txt ipset save
    if has sysctl; then
        show sysctl.txt sh -c 'lines=$(sysctl -e net.ipv4 net.netfilter net.bridge | sed -n -E "/^$0 ?=/p")
            [ -n "$lines" ] && printf "%s\n" "$lines"' "$sysctls"
    fi
    if has ss; then show ss.txt sh -c 'ss -tuan | grep -v "^tcp  *[^L ]"'; fi # not who is connected by TCP
    if [ -n "${MCNI_CONNECTIONS:-}" ]; then show conntrack.txt conntrack -L; fi
}

# only the text form tells the flags of a table in every version, and it is long
tables='if nft -j list tables | grep -q flags; then nft list ruleset | grep -E "^table |^.flags "; else nft list tables; fi'
# tc shows the filters of one device at a time; only these disciplines take any and are common
filters='tc qdisc show | while read -r _ kind handle rest; do
    dev=${rest#*dev }; dev=${dev%% *}
    case $kind in fq_codel|fq_pie|sfq|cake) ;; *) continue ;; esac
    case $handle$rest in 0:*parent*) continue ;; 0:*) set -- ;; *) set -- parent "$handle" ;; esac
    tc filter show dev "$dev" "$@" | while IFS= read -r line; do printf "%s %s\n" "$dev" "$line"; done
done'
# of the programs of the whole machine only those of network namespaces; a namespace is known by its number
programs='readlink /proc/self/ns/net && bpftool net && { bpftool link | grep netns_ino; :; }'
save=iptables-save
if has iptables-nft-save; then save=iptables-nft-save; fi
mount -n -t tmpfs -o mode=0700 mcni /tmp && mkdir /tmp/netns || exit 1

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
only=
for wanted in ${MCNI_ONLY:-}; do
    name=$(plain "$wanted")
    only="$only $name"
    case $there in
        *" $name "*) ;;
        *) printf "no network namespace '%s'; there are%s\n" "$wanted" "$there" >&2; exit 1 ;;
    esac
done
set +f

printf 'mcni-snapshot 1 %s\n' "$node"
for ns in /run/netns/*; do
    # one that is left out is named all the same: it may have devices on those of others
    printf '@ %s\t%s\n' "${ns##*/}" "${ns##*/}"
    case "${only:- ${ns##*/}} " in
        *" ${ns##*/} "*) collect ;;
    esac
done
echo end
SCRIPT
