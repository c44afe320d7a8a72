"""hv_netvsc: two adapters on viaduct-vswitchd, talking to the kernel of the host."""
import json
import re

from tests.conformance.peers import MTU, add_port, network
from tests.conformance.suite import number, wait
from tests.support.harness import check

MACS = ["00:15:5d:00:01:01", "00:15:5d:00:01:02"]
ACCESS_VID, NATIVE_VID, TAGGED_VID = 2, 3, 7
PEERS = {ACCESS_VID: "10.2.0.1", NATIVE_VID: "10.3.0.1", TAGGED_VID: "10.7.0.1"}
BYTES = 2 << 20


def nic(guest, index):
    return guest.host.call("vm.info")[0]["nics"][index]


def _come_up(suite, guest):
    with suite("both adapters speak NVSP 6.1 and have their addresses") as p:
        guest.out("modprobe hv_vmbus; modprobe hv_netvsc; modprobe 8021q")
        guest.wait("[ -e /sys/class/net/eth1 ]", what="two adapters")
        for i, mac in enumerate(MACS):
            check(guest.out(f"cat /sys/class/net/eth{i}/address") == mac, f"eth{i} is not {mac}")
        guest.out(f"ip link set eth0 mtu {MTU} up; ip link set eth1 up; ip addr add 10.2.0.2/24 dev eth0; "
                  "ip addr add 10.3.0.2/24 dev eth1; ip -6 addr add fd00:2::2/64 dev eth0")
        info = nic(guest, 0)
        check(info["ready"] and info["nvsp"] == "6.1", f"{info}")
        p.detail = f"NVSP {info['nvsp']}"


def _reach(suite, guest, peers):
    with suite("each adapter reaches its VLAN's peer"):
        for vid in (ACCESS_VID, NATIVE_VID):
            guest.wait(f"ping -c 1 -W 2 {PEERS[vid]}", what=f"an answer from VLAN {vid}")
            check(peers[vid].reaches(PEERS[vid][:-1] + "2"), f"the peer in VLAN {vid} does not reach the guest")
    with suite("neither reaches another VLAN's"):
        guest.out("ip addr add 10.7.0.3/24 dev eth0; ip addr add 10.2.0.3/24 dev eth1")
        status, _ = guest.run(f"ping -c 2 -W 1 -I eth0 {PEERS[TAGGED_VID]}")
        check(status, "VLAN 7 was reached from VLAN 2")
        status, _ = guest.run(f"arping -c 2 -w 2 -I eth1 {PEERS[ACCESS_VID]}")
        check(status, "VLAN 2 was reached from VLAN 3")
        guest.out("ip addr del 10.7.0.3/24 dev eth0; ip addr del 10.2.0.3/24 dev eth1")
    with suite("a VLAN device in the guest reaches the trunk's VLAN"):
        guest.out(f"ip link add link eth1 name eth1.7 type vlan id {TAGGED_VID}; ip link set eth1.7 up; "
                  "ip addr add 10.7.0.2/24 dev eth1.7")
        guest.wait(f"ping -c 1 -W 2 {PEERS[TAGGED_VID]}", what=f"an answer from VLAN {TAGGED_VID}")
        check(peers[TAGGED_VID].reaches("10.7.0.2"), "the peer does not reach the guest")
        _same_bytes(guest, peers[TAGGED_VID], "10.7.0.2")


def _same_bytes(guest, peer, address):
    """Random bytes to the peer and from it, by TCP: their sums."""
    guest.out(f"head -c {BYTES} /dev/urandom >/tmp/sent; (nc -l -p 4000 </tmp/sent >/tmp/got &) >/dev/null 2>&1", 60)
    guest.wait("cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qE ':0FA0 0+:0000 0A'", what="a listener")
    script = ("import hashlib, os, socket, sys\n"
              f"s = socket.create_connection(('{address}', 4000), 30); got = b''\n"
              f"while len(got) < {BYTES}:\n  got += s.recv(65536) or sys.exit('cut short')\n"
              f"back = os.urandom({BYTES}); s.sendall(back); s.shutdown(1)\n"
              "print(hashlib.md5(got).hexdigest(), hashlib.md5(back).hexdigest())\n")
    there, back = peer.run("python3", "-c", script, timeout=60).stdout.split()
    guest.wait(f"[ $(stat -c %s /tmp/got) = {BYTES} ]", 60, "the end of the transfer")
    sums = guest.out("md5sum </tmp/sent; md5sum </tmp/got; rm /tmp/sent /tmp/got", 60)
    check(sums.replace("-", "").split() == [there, back], f"{sums} is not {there}, {back}")


def _mbits(guest, arguments):
    result = json.loads(guest.out(f"iperf3 -J -t 3 {arguments}", 40))
    return result["end"]["sum_received"]["bits_per_second"] / 1e6


def _traffic(suite, guest, peers):
    peer = peers[ACCESS_VID]
    with suite("checksums and segmentation are offered to the guest"):
        features = guest.out("ethtool -k eth0")
        for name in ("tx-checksumming", "rx-checksumming", "scatter-gather", "tcp-segmentation-offload"):
            check(re.search(rf"^{name}: on", features, re.M), f"{name} is off")
    with suite("bytes arrive as they were sent"):
        _same_bytes(guest, peer, "10.2.0.2")
    with peer.iperf():
        for name, host, arguments in [("to the peer", peer.address, ""), ("from the peer", peer.address, "-R"),
                                      ("over IPv6", f"fd00:{ACCESS_VID}::1", "-6"),
                                      ("over IPv6, from the peer", f"fd00:{ACCESS_VID}::1", "-6 -R")]:
            with suite(f"iperf3 {name}") as p:
                before = nic(guest, 0)
                p.detail = f"{_mbits(guest, f'-c {host} {arguments}'):.0f} Mbit/s"
                after = nic(guest, 0)
                way = "rx" if "-R" in arguments else "tx"
                mean = (after[f"{way}_bytes"] - before[f"{way}_bytes"]) / (after[f"{way}_frames"] - before[f"{way}_frames"])
                p.detail += f", {mean:.0f} bytes a frame"
                check(way == "rx" or mean > MTU, f"no super-frames: {p.detail}")
    with suite(f"frames of {MTU} bytes go through whole"):
        guest.out(f"ping -c 3 -s {MTU - 28} {peer.address}")
        peer.run("ping", "-c", "3", "-M", "do", "-s", str(MTU - 28), "10.2.0.2")
        created = number(guest.out("awk '/^Ip:/ && $18 ~ /[0-9]/ {print \"frags \" $19}' /proc/net/snmp"), r"frags (\d+)")
        check(created == 0, f"{created:.0f} fragments were made")


def _queues(suite, guest, peers):
    with suite("receiving is spread over queues") as p:
        channels = guest.out("ethtool -l eth0")
        most = int(number(channels, r"Combined:\s*(\d+)"))
        check(most > 1, f"one channel only: {channels}")
        guest.out(f"ethtool -L eth0 combined {most}")
        guest.wait(f"ping -c 1 -W 2 {PEERS[ACCESS_VID]}", what="the network after the change")
        with peers[ACCESS_VID].iperf():
            _mbits(guest, f"-c {PEERS[ACCESS_VID]} -P 8 -R")
        used = re.findall(r"rx_queue_(\d+)_packets: (\d+)", guest.out("ethtool -S eth0"))
        busy = [q for q, n in used if int(n) > 100]
        check(len(busy) > 1, f"packets by queue: {used}")
        p.detail = f"{len(busy)} of {most} queues"
    with suite("the number of queues can be changed and changed back"):
        for n in (1, most):
            guest.out(f"ethtool -L eth0 combined {n}")
            guest.wait(f"ping -c 1 -W 2 {PEERS[ACCESS_VID]}", what=f"the network with {n} queues")
    with suite("the hash's key and table can be read and set"):
        guest.out("ethtool -x eth0 >/tmp/x && ethtool -X eth0 equal 2 && ethtool -x eth0 && ethtool -X eth0 default")
        guest.wait(f"ping -c 1 -W 2 {PEERS[ACCESS_VID]}", what="the network after the change")


def _link(suite, guest, peers):
    with suite("the link goes down and comes back"):
        carrier = "cat /sys/class/net/eth0/carrier"
        guest.host.call("vm.link", nic=0, up=False)
        guest.wait(f"[ $({carrier}) = 0 ]", what="the loss of the carrier")
        guest.host.call("vm.link", nic=0, up=True)
        guest.wait(f"[ $({carrier}) = 1 ]", what="the carrier")
        guest.wait(f"ping -c 1 -W 2 {PEERS[ACCESS_VID]}", what="an answer of the peer")
    with suite("the adapter keeps its address"):
        status, _ = guest.run("ip link set eth0 address 00:15:5d:66:66:66")
        check(status, "the host took another address")
        check(guest.out("cat /sys/class/net/eth0/address") == MACS[0], "it is another now")
    with suite("frames under another's address stay in the guest"):
        peer = PEERS[TAGGED_VID]
        guest.out("ip link set eth1.7 address 00:15:5d:66:66:66; ip neigh flush dev eth1.7")
        status, _ = guest.run(f"ping -c 2 -W 1 {peer}")
        check(status, "the peer answered")
        guest.out(f"ip link set eth1.7 address {MACS[1]}")
        guest.wait(f"ping -c 1 -W 2 {peer}", what="an answer of the peer")


def net(suite):
    with network(suite, PEERS) as (switch, peers):
        ports = [add_port(switch, "VM1/nic0", MACS[0], mode="access", vid=ACCESS_VID),
                 add_port(switch, "VM1/nic1", MACS[1], mode="trunk", native=NATIVE_VID,
                          allowed=f"{NATIVE_VID},{TAGGED_VID}")]
        with suite.guest(vps=4, memory_mib=256, tools=True, ports=ports, macs=MACS, mtu=MTU) as guest:
            _come_up(suite, guest)
            _reach(suite, guest, peers)
            _traffic(suite, guest, peers)
            _queues(suite, guest, peers)
            _link(suite, guest, peers)
            with suite("nobody complained") as p:
                wait(lambda: nic(guest, 0)["protocol_errors"] == 0, 1, "an error-free protocol")
                complaints = guest.out("dmesg | grep -iE 'hv_netvsc.*(error|fail|unable)|WARNING|BUG:' || true")
                check(not complaints, complaints)
                info = nic(guest, 0)
                p.detail = f"{info['tx_frames']} frames out, {info['rx_frames']} in, {info['tx_dropped']} dropped"
