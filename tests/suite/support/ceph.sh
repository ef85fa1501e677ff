# One monitor, one OSD and one gateway in the directory $1; the monitor listens on port $2, the gateway on $3.
# Says `ready` when objects can be stored. Lives until its standard input ends, which it does when the tests are over or
# their process dies, and then takes everything with it.
set -eu
dir=$1
trap '' INT HUP
clean() {
    kill -9 $(cat "$dir"/run/*.pid 2>/dev/null) 2>/dev/null || true
    rm -rf "$dir"
}
trap clean EXIT
mkdir -p "$dir/mon" "$dir/osd" "$dir/rgw" "$dir/log" "$dir/run"
cat >"$dir/ceph.conf" <<C
[global]
fsid = 11111111-2222-4333-8444-555555555555
mon host = v2:127.0.0.1:$2/0
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
mon allow pool size one = true
osd pool default size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block size = 10737418240
osd memory target = 1073741824
mon data avail crit = 1
mon data = $dir/mon
osd data = $dir/osd
rgw data = $dir/rgw
log file = $dir/log/\$name.log
admin socket = $dir/run/\$name.asok
pid file = $dir/run/\$name.pid
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:$3 tcp_nodelay=1
rgw run sync thread = false
C
export CEPH_CONF=$dir/ceph.conf
osd=22222222-2222-4333-8444-555555555555
{
    monmaptool --create --clobber --fsid 11111111-2222-4333-8444-555555555555 --addv a "v2:127.0.0.1:$2/0" "$dir/monmap"
    ceph-mon --mkfs -i a --monmap "$dir/monmap"
    ceph-mon -i a
    until timeout 5 ceph -s; do sleep 0.2; done
    id=$(ceph osd new $osd)
    ceph-osd -i "$id" --mkfs --osd-uuid $osd
    ceph-osd -i "$id"
    radosgw-admin user create --uid probe --display-name probe --access-key probeak --secret-key probesk
    radosgw -n client.rgw.a
    # It goes to the background before it listens.
    for _ in $(seq 600); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$3") 2>/dev/null; then listens=1 && break; fi
        sleep 0.1
    done
    test "${listens:-}" = 1
} >"$dir/log/up.log" 2>&1 </dev/null || { tail -n 20 "$dir/log/up.log" >&2; exit 1; }
echo ready
cat >/dev/null
