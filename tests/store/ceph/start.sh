#!/usr/bin/env bash
# A real S3 for the tests: Ceph's object gateway on a cluster of one, in memory, until Ctrl-C.
#   apt-get install ceph-mon ceph-mgr ceph-osd radosgw
#   tests/store/ceph/start.sh [PORT]
# When it answers, it prints what to set so that `pytest tests/store/conformance -k bucket` uses it.
set -euo pipefail
port=${1:-7480}
folder=$(mktemp -d)
mon=127.0.0.1:$((port + 1))
jobs_of_ours=()
stop() {
  for job in "${jobs_of_ours[@]}"; do kill "$job" 2>/dev/null || true; done
  wait
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 0' INT TERM

mkdir -p "$folder"/{mon,mgr,osd,rgw}
fsid=$(cat /proc/sys/kernel/random/uuid)
export CEPH_CONF=$folder/ceph.conf
cat >"$CEPH_CONF" <<CONF
[global]
fsid = $fsid
mon_host = v1:$mon
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 2147483648
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_data = $folder/mon
mgr_data = $folder/mgr
osd_data = $folder/osd
rgw_data = $folder/rgw
run_dir = $folder
admin_socket = $folder/\$name.asok
log_file = $folder/\$name.log
rgw_frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
CONF
start() {
  "$@" -f >>"$folder/out" 2>&1 &
  jobs_of_ours+=($!)
}
monmaptool --create --fsid "$fsid" --addv a "[v1:$mon]" "$folder/monmap" >/dev/null
ceph-mon --mkfs -i a --monmap "$folder/monmap"
start ceph-mon -i a
ceph --connect-timeout 30 config set mon auth_allow_insecure_global_id_reclaim false
start ceph-mgr -i x
osd=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$osd" >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$osd" >/dev/null 2>&1
start ceph-osd -i 0
until ceph osd stat | grep -q "1 up"; do sleep 0.3; done
start radosgw -n client.rgw
until curl -s -o /dev/null "http://127.0.0.1:$port"; do sleep 0.3; done
radosgw-admin user create --uid tests --display-name tests --access-key tests --secret-key tests >/dev/null 2>&1
echo "export AWS_ACCESS_KEY_ID=tests AWS_SECRET_ACCESS_KEY=tests"
echo "export RUNCAST_TEST_BUCKET='s3://runcasttests?endpoint=http://127.0.0.1:$port&region=us-east-1'"
wait
