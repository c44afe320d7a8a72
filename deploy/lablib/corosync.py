"""corosync.conf for the lab's nodes."""
from .namespaces import SLOW

TEMPLATE = """totem {{
    version: 2
    cluster_name: viaduct-lab
    transport: knet
    crypto_cipher: aes256
    crypto_hash: sha256
    token: {token}
    token_coefficient: 0
    link_mode: passive
{links}}}
nodelist {{
{nodes}}}
quorum {{
    provider: corosync_votequorum
    expected_votes: {votes}
    wait_for_all: 0
}}
system {{
    sched_rr: {real_time}
    priority: 0
    move_to_root_cgroup: auto
    state_dir: /var/lib/corosync
}}
logging {{
    to_stderr: no
    to_syslog: no
    to_logfile: yes
    logfile: /var/log/corosync/corosync.log
    timestamp: hires
}}
"""

LINK = """    interface {{
        linknumber: {number}
        knet_transport: udp
        knet_link_priority: {priority}
        knet_ping_interval: {ping}
        knet_ping_timeout: {pong}
        knet_pong_count: 2
    }}
"""


def configuration(nodes, networks, token_ms=1000):
    """`nodes`: [(id, name)]; `networks`: address prefixes, the heartbeat's first: "10.10.2"."""
    # A link must be given up before a new membership is formed without its peer. knet looks at its links every
    # 200 ms, whatever the interval says: with less, every link would be down.
    ping_ms, pong_ms = round(200 * SLOW), round(375 * SLOW)
    links = "".join(LINK.format(number=i, priority=10 - i, ping=ping_ms, pong=pong_ms)
                    for i in range(len(networks)))
    entries = ""
    for node_id, name in nodes:
        entries += f"    node {{\n        nodeid: {node_id}\n        name: {name}\n"
        for i, prefix in enumerate(networks):
            entries += f"        ring{i}_addr: {prefix}.{node_id}\n"
        entries += "    }\n"
    # A corosync that holds back its clients polls without sleeping. On a real machine nobody notices; where
    # all nodes share one slow processor, real-time priority would let it hold up even the other nodes.
    return TEMPLATE.format(token=round(token_ms * SLOW), links=links, nodes=entries, votes=len(nodes),
                           real_time="yes" if SLOW == 1 else "no")
