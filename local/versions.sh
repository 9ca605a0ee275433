# shellcheck shell=bash disable=SC2034
# Every version that the local cluster pins, in one place. Sourced by local/lib.sh.

KUBERNETES_VERSION=v1.34.4 # go.mod of images/node/kubernetes names it too; build-binaries.sh checks that they agree
KUBECTL_MINOR_FROM=33      # kubectl speaks to API servers one minor version away from its own
KUBECTL_MINOR_TO=35
KIND_VERSION=v0.33.0
KIND_MINOR_FROM=30 # a kind on PATH is good enough from this minor version on
HELM_VERSION=v4.3.1
HELM_3_MINOR_FROM=22 # a Helm 3 on PATH is good enough from this minor version on

# What kubeadm of KUBERNETES_VERSION asks for, by the names under which the node image holds them.
ETCD_VERSION=v3.6.5
ETCD_IMAGE_TAG=3.6.5-0
COREDNS_VERSION=v1.14.7
COREDNS_IMAGE_TAG=v1.12.1
PAUSE_IMAGE_TAG=3.10.1
LOCAL_PATH_PROVISIONER_VERSION=v0.0.30

# The official node image for KIND_VERSION, used where an image registry is reachable.
OFFICIAL_NODE_IMAGE=kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d
BUILT_NODE_IMAGE=millrace/node:$KUBERNETES_VERSION

GO_MINOR_FROM=21 # from 1.21 on, Go fetches by itself the newer toolchain that a module asks for
