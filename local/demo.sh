#!/usr/bin/env bash
# Show Millrace at work: from whatever is here to real predictions, with each step's time. Safe to run again at any time.
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$PROJECT_ROOT"

NAMESPACE=millrace
RELEASE=millrace
DATA_POD=digits-data
TRAINED=$LOCAL_DIR/demo
LAST_STEP=10
# Images under one name change with the code; the cluster remembers which ones its pods were started from.
IMAGES_ANNOTATION=millrace.dev/demo-images

times=""
step_number=0
step_title=""
step_began=$SECONDS

in_namespace() { kubectl --namespace "$NAMESPACE" "$@"; }

end_step() { # of the step that began last, if any
  [[ -n $step_title ]] || return 0
  times+=$(printf '  %-62s %4d s' "$step_title" $((SECONDS - step_began)))$'\n'
  step_title=""
}

begin_step() { # TITLE
  end_step
  step_number=$((step_number + 1))
  step_title=$1
  step_began=$SECONDS
  step "[$step_number/$LAST_STEP] $1"
}

images_fingerprint() {
  docker image ls --no-trunc --filter 'reference=millrace/*' --format '{{.Repository}}:{{.Tag}} {{.ID}}' |
    grep -v "millrace/node" | sort | sha256sum | cut -c -16
}

have_data_pod() {
  kubectl get namespace "$NAMESPACE" >/dev/null 2>&1 || kubectl create namespace "$NAMESPACE"
  in_namespace apply --filename manifests/samples/digits-data.yaml
  in_namespace wait --for=condition=Ready --timeout=120s "pod/$DATA_POD" ||
    fail "the pod $DATA_POD did not become ready" \
      "see 'KUBECONFIG=.local/kubeconfig kubectl -n $NAMESPACE describe pod $DATA_POD'"
}

copy_data() {
  COPYFILE_DISABLE=1 tar cf - -C "$TRAINED/claim" models input |
    in_namespace exec --stdin "$DATA_POD" -- \
      sh -c 'tar xf - --no-same-owner -C /claim && chmod -R a+rX /claim/models /claim/input'
}

# Helm 3 never updates resource definitions that exist; Helm 4 does, and gives up where another manager has changed them.
update_definitions() {
  if kubectl get crd predictionjobs.millrace.dev >/dev/null 2>&1; then
    kubectl apply --server-side --force-conflicts --field-manager helm --filename manifests/crds >/dev/null
  fi
}

install_platform() {
  with_progress "helm upgrade --install $RELEASE" \
    "see 'KUBECONFIG=.local/kubeconfig kubectl -n $NAMESPACE get pods' and the events of pods that are not ready" \
    helm upgrade --install "$RELEASE" charts/millrace --namespace "$NAMESPACE" --create-namespace \
    --values local/values.yaml --wait --timeout 5m
}

# Pods keep the image that they were started with, though its name now means a newer one.
restart_what_is_outdated() {
  local current known
  current=$(images_fingerprint)
  known=$(kubectl get namespace "$NAMESPACE" --output "go-template={{index .metadata.annotations \"$IMAGES_ANNOTATION\"}}" 2>/dev/null || true)
  if [[ $known == "$current" ]]; then
    skip "the pods run the current images"
    return
  fi
  if [[ $1 == upgraded ]]; then
    note "the images have changed: restarting the pods"
    in_namespace rollout restart deployment,statefulset --selector "app.kubernetes.io/instance=$RELEASE" >/dev/null
    in_namespace rollout status deployment,statefulset --selector "app.kubernetes.io/instance=$RELEASE" --timeout=240s >/dev/null ||
      fail "the pods did not become ready with the new images" "see 'kubectl -n $NAMESPACE get pods'"
  fi
  kubectl annotate --overwrite namespace "$NAMESPACE" "$IMAGES_ANNOTATION=$current" >/dev/null
}

begin_step "A Kubernetes cluster on this machine"
make --no-print-directory cluster

begin_step "The images, built here and loaded into the cluster"
make --no-print-directory build-images load-images

begin_step "A digit classifier, trained on 70 % of scikit-learn's scans"
.venv/bin/python -m millrace_demo.train --out "$TRAINED"

begin_step "The model and the other 30 % of the scans, on a claim"
have_data_pod
copy_data
note "copied to the claim 'digits': models/ (for Triton) and input/digits.jsonl"

begin_step "The platform: one helm install"
kind_of_install=fresh
if helm status "$RELEASE" --namespace "$NAMESPACE" >/dev/null 2>&1; then kind_of_install=upgraded; fi
update_definitions
install_platform
restart_what_is_outdated "$kind_of_install"

end_step
step_began=$SECONDS
.venv/bin/python -m millrace_demo.run_job --namespace "$NAMESPACE" --manifest manifests/samples/digits-job.yaml \
  --trained "$TRAINED" --step 6 --steps "$LAST_STEP"
step_number=8
step_title="One job: predictions, accuracy, pool from 0 and back to 0"

begin_step "A recommender learns, from events in Kafka, while you watch"
.venv/bin/python -m millrace_demo.recommender --namespace "$NAMESPACE" --release "$RELEASE"

begin_step "Where to look"
step_title=""
cat <<TEXT

  The gateway (predictions)   http://127.0.0.1:30080/docs
  Flower (tasks)              http://127.0.0.1:30555
  Prometheus (the system)     http://127.0.0.1:30090
  RabbitMQ (queues)           http://127.0.0.1:30672
  Users, passwords, API keys  make credentials

  export KUBECONFIG=\$PWD/.local/kubeconfig PATH=\$PWD/.local/bin:\$PWD/.venv/bin:\$PATH
  kubectl -n $NAMESPACE get pjob,wpool,mver -o wide      # jobs, pools, versions of models
  kubectl -n $NAMESPACE describe wpool digits            # why this many pods
  kubectl -n $NAMESPACE describe mver recommender-1      # why this version served
  millrace models show recommender -n $NAMESPACE         # the same history; millrace --help has much more
  kubectl -n $NAMESPACE apply -f manifests/samples/recommender/activity-job.yaml   # users again, until it is deleted
  millrace jobs results digits -n $NAMESPACE | head      # the predictions, from the claim
  kubectl -n $NAMESPACE exec $DATA_POD -- cat /claim/output/digits/manifest.json
  make demo-million                                      # a job of a million records, with its report

  make clean                  removes the cluster, the images and .local

TEXT
printf '%s  %-62s %4d s\n' "$times" "altogether" "$SECONDS"
