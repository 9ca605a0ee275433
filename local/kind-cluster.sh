#!/usr/bin/env bash
# Have the kind cluster up: made when it is missing, started when it is stopped, made anew when it is beyond repair.
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

READY_LIMIT_SECONDS=180
RESTART_LIMIT_SECONDS=120

container_state() {
  local state
  state=$(docker container inspect --format '{{.State.Status}}' "$NODE_CONTAINER" 2>/dev/null) || state=missing
  echo "$state"
}

# Into a new file that then takes the old one's place: kind would merge into the old one, whatever is in it.
write_kubeconfig() {
  rm -f "$KUBECONFIG.new"
  kind export kubeconfig --name "$CLUSTER_NAME" --kubeconfig "$KUBECONFIG.new" --quiet || return 1
  chmod 600 "$KUBECONFIG.new"
  mv "$KUBECONFIG.new" "$KUBECONFIG"
}

node_ready() {
  [[ $(kubectl --request-timeout 5s get node "$NODE_CONTAINER" \
    --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}

# kind makes the StorageClass last, so a cluster that was interrupted while it was made does not have one.
is_complete() {
  write_kubeconfig && node_ready && kubectl --request-timeout 5s get storageclass standard
}

create_cluster() {
  local image config=built-node.yaml
  image=$(<"$LOCAL_DIR/node-image")
  [[ $image != "$OFFICIAL_NODE_IMAGE" ]] || config=official-node.yaml
  with_progress "create cluster $CLUSTER_NAME" \
    "see the log; a port of manifests/kind/$config that is taken by another program is the usual reason" \
    kind create cluster --name "$CLUSTER_NAME" --image "$image" --kubeconfig "$KUBECONFIG" \
    --config "$PROJECT_ROOT/manifests/kind/$config"
}

delete_cluster() {
  rm -f "$KUBECONFIG" # first, because kind refuses to touch one that it cannot read
  kind delete cluster --name "$CLUSTER_NAME" --kubeconfig "$KUBECONFIG" --quiet
}

# A node whose kubeadm never finished will not become ready, however long one waits.
was_initialized() { docker cp "$NODE_CONTAINER:/etc/kubernetes/admin.conf" - >/dev/null 2>&1; }

recover_cluster() { # WHAT_IS_WRONG
  note "the cluster $1"
  if was_initialized; then
    [[ $(container_state) == running ]] || docker start "$NODE_CONTAINER" >/dev/null
    note "waiting up to $RESTART_LIMIT_SECONDS s for its node to be ready"
    if wait_for "$RESTART_LIMIT_SECONDS" is_complete; then return; fi
    note "it did not come back"
  fi
  note "deleting it and making it anew; what was installed in it is gone"
  delete_cluster
  create_cluster
}

# After a restart the API server tells for a while what was true before it: pods running since before the node is.
statuses_are_fresh() {
  local node_started started
  node_started=$(docker container inspect --format '{{.State.StartedAt}}' "$NODE_CONTAINER" | cut -c -19)
  for started in $(kubectl --request-timeout 5s get pods --all-namespaces \
    --output 'jsonpath={.items[*].status.containerStatuses[*].state.running.startedAt}'); do
    [[ ! ${started:0:19} < $node_started ]] || return 1
  done
}

# Through the API server to the pod, because a status can be stale and an answer cannot.
name_service_answers() {
  kubectl --request-timeout 5s get --raw /api/v1/namespaces/kube-system/services/kube-dns:metrics/proxy/metrics
}

system_ready() {
  statuses_are_fresh && name_service_answers &&
    kubectl --namespace local-path-storage wait --for=condition=Available deployment/local-path-provisioner --timeout 5s
}

# For a moment while kube-proxy changes the rules of a service, a connection to it is not sent to a pod but out of the
# node. Where something out there answers every address, as a transparent proxy does, whoever keeps connections (a
# Prometheus) would go on talking to that. Refused, it is tried again.
keep_services_inside() {
  local range chain
  range=$(kubectl --request-timeout 5s get servicecidr kubernetes --output 'jsonpath={.spec.cidrs[0]}') || return 1
  for chain in FORWARD OUTPUT; do
    local rule=("$chain" --destination "$range" --out-interface eth0 --jump REJECT)
    docker exec "$NODE_CONTAINER" iptables --check "${rule[@]}" 2>/dev/null ||
      docker exec "$NODE_CONTAINER" iptables --insert "${rule[@]}" || return 1
  done
}

tell_about_newer_image() {
  local made_from current
  made_from=$(docker container inspect --format '{{.Image}}' "$NODE_CONTAINER")
  current=$(docker image inspect --format '{{.Id}}' "$(<"$LOCAL_DIR/node-image")")
  [[ $made_from == "$current" ]] ||
    note "it runs an older node image; 'make clean-cluster cluster' makes it anew from the current one"
}

step "Cluster $CLUSTER_NAME"
# Two of these at once would each delete what the other is making. The lock is freed when this script ends.
if command -v flock >/dev/null; then
  exec 9>"$LOCAL_DIR/cluster.lock"
  flock 9
fi
case $(container_state) in
  missing)
    delete_cluster # a network or kubeconfig entry may be left
    create_cluster
    ;;
  running) if is_complete >/dev/null 2>&1; then skip "it runs"; else recover_cluster "runs but is not ready"; fi ;;
  paused) docker unpause "$NODE_CONTAINER" >/dev/null && recover_cluster "was paused" ;;
  *) recover_cluster "is stopped" ;;
esac
write_kubeconfig
wait_for "$READY_LIMIT_SECONDS" node_ready ||
  fail "the node is not ready after $READY_LIMIT_SECONDS s" "look at 'docker exec $NODE_CONTAINER journalctl -u kubelet'"
wait_for "$READY_LIMIT_SECONDS" keep_services_inside ||
  fail "the node's network could not be set up" "look at 'docker exec $NODE_CONTAINER iptables --list FORWARD'"
wait_for "$READY_LIMIT_SECONDS" system_ready ||
  fail "name service or storage did not start within $READY_LIMIT_SECONDS s" \
    "look at 'KUBECONFIG=.local/kubeconfig kubectl get pods -A'"
tell_about_newer_image
note "ready: KUBECONFIG=.local/kubeconfig kubectl get nodes"
