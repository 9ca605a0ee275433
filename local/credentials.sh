#!/usr/bin/env bash
# Print the users, passwords and API keys of the pages that ask for them, from the Secrets that the chart generated.
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NAMESPACE=${NAMESPACE:-millrace}
RELEASE=${RELEASE:-millrace}

secret_value() { # SECRET KEY
  kubectl --namespace "$NAMESPACE" get secret "$1" --output "go-template={{index .data \"$2\" | base64decode}}" ||
    fail "the Secret $1 in namespace $NAMESPACE could not be read" "see 'make cluster' and 'make demo', which make it"
}

# Read all before printing, so that a failure is not hidden in a table.
flower_user=$(secret_value "$RELEASE-flower" user)
flower_password=$(secret_value "$RELEASE-flower" password)
rabbitmq_password=$(secret_value "$RELEASE-rabbitmq" admin-password)
admin_key=$(secret_value "$RELEASE-gateway" admin-api-key)
predict_key=$(secret_value "$RELEASE-gateway" predict-api-key)

printf '%-12s %-26s %-12s %s\n' \
  page address user password \
  Flower http://127.0.0.1:30555 "$flower_user" "$flower_password" \
  RabbitMQ http://127.0.0.1:30672 admin "$rabbitmq_password" \
  Prometheus http://127.0.0.1:30090 "none asked" "" \
  Gateway http://127.0.0.1:30080 "predict" "$predict_key" \
  Gateway http://127.0.0.1:30080 "admin" "$admin_key"
note "the gateway's are API keys: send one as 'X-API-Key: KEY'"
