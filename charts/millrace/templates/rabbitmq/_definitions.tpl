{{/*
What RabbitMQ is told at each start: vhost, users, permissions, policies, exchanges, queues. "@worker-password@" and its like
are replaced inside the pod, so this text holds no secret. An external broker needs the same.

The vhost is Millrace's alone, so the worker user may use any name in it but RabbitMQ's own: pools come and go without a
restart of the broker. The operator asks every queue how long it is by a passive declare, for which RabbitMQ 4.3 wants the
permission to configure it; but it reads no task, and publishes plans only. It also listens to workers' heartbeats
(celeryev) with a queue of its own, tells workers to take no more tasks (celery.pidbox) and reads what they answer (a reply
queue of its own), and copies the times of delayed tasks (celery_delayed_*) into its queue millrace.operator.*: binding a
queue needs the right to write it and to read the exchange. Flower listens to events and asks workers.

Bridges and the gateway publish tasks, and declare and bind the queues that these go to, which needs the right to read the
exchange; they read no task. The gateway reads and removes dead letters, for administrators.

at-least-once: a task that is given up stays in its queue until the dead-letter queue has it; it needs reject-publish.
*/}}

{{- define "millrace.rabbitmqPolicies" -}}
{{- $vhost := include "millrace.vhost" . -}}
{{- $work := dict "delivery-limit" .Values.rabbitmq.deliveryLimit "dead-letter-exchange" "millrace.dead" "dead-letter-strategy" "at-least-once" "overflow" "reject-publish" "consumer-timeout" (mul .Values.rabbitmq.consumerTimeoutSeconds 1000) -}}
{{- $dead := dict "max-length" .Values.rabbitmq.deadLetterMaxLength "overflow" "drop-head" -}}
{{- list
  (dict "vhost" $vhost "name" "work-queues" "pattern" "^(?!amq\\.|celery)(?!.*\\.dead$).+$" "apply-to" "quorum_queues" "priority" 0 "definition" $work)
  (dict "vhost" $vhost "name" "dead-letter-queues" "pattern" "\\.dead$" "apply-to" "quorum_queues" "priority" 0 "definition" $dead)
  | toJson -}}
{{- end }}

{{/* Users that are needed; whoever is not there has no password to lose. */}}
{{- define "millrace.rabbitmqUsers" -}}
{{- $users := list "admin" "worker" "operator" "flower" -}}
{{- if .Values.gateway.enabled }}{{ $users = append $users "gateway" }}{{ end -}}
{{- if .Values.streams }}{{ $users = append $users "ingest" }}{{ end -}}
{{- $users | toJson -}}
{{- end }}

{{- define "millrace.rabbitmqAccess" -}}
{{- $names := include "millrace.rabbitmqUsers" . | fromJsonArray -}}
{{- $tags := dict "admin" (list "administrator") "flower" (list "monitoring") -}}
{{- $users := list -}}
{{- range $names -}}
{{- $users = append $users (dict "name" . "password" (printf "@%s-password@" .) "tags" (get $tags . | default list)) -}}
{{- end -}}
{{- $vhost := include "millrace.vhost" . -}}
{{- $any := "^(?!amq\\.).+$" -}}
{{- $own := "^(millrace|system)(\\.dead)?$|^celeryev|^celery_delayed_|^millrace\\.operator\\." -}}
{{- $operatorWrites := printf "%s|^([0-9a-f-]+\\.reply\\.)?celery\\.pidbox$" $own -}}
{{- $operatorReads := printf "%s|^([0-9a-f-]+\\.)?reply\\.celery\\.pidbox$" $own -}}
{{- $flower := "^celeryev|celery\\.pidbox$" -}}
{{- $exchanges := "^millrace(\\.dead)?$" -}}
{{- $rights := dict
  "admin" (dict "configure" ".*" "write" ".*" "read" ".*")
  "worker" (dict "configure" $any "write" $any "read" $any)
  "operator" (dict "configure" $any "write" $operatorWrites "read" $operatorReads)
  "flower" (dict "configure" $flower "write" $flower "read" $flower)
  "gateway" (dict "configure" $any "write" $any "read" (printf "%s|\\.dead$" $exchanges))
  "ingest" (dict "configure" $any "write" $any "read" $exchanges) -}}
{{- $permissions := list -}}
{{- range $names -}}
{{- $permissions = append $permissions (merge (dict "vhost" $vhost "user" .) (get $rights .)) -}}
{{- end -}}
{{- dict "users" $users "permissions" $permissions "vhosts" (list (dict "name" $vhost)) | toJson -}}
{{- end }}

{{- define "millrace.rabbitmqDefinitions" -}}
{{- $vhost := include "millrace.vhost" . -}}
{{- $quorum := dict "x-queue-type" "quorum" -}}
{{- $exchanges := list -}}
{{- range list "millrace" "millrace.dead" -}}
{{- $exchanges = append $exchanges (dict "vhost" $vhost "name" . "type" "topic" "durable" true "auto_delete" false "internal" false "arguments" dict) -}}
{{- end -}}
{{- $queues := list -}}
{{- $bindings := list -}}
{{- range include "millrace.pools" . | fromJsonArray -}}
{{- $dead := printf "%s.dead" .queue -}}
{{- range list .queue $dead -}}
{{- $queues = append $queues (dict "vhost" $vhost "name" . "durable" true "auto_delete" false "arguments" $quorum) -}}
{{- end -}}
{{- $binding := dict "vhost" $vhost "destination_type" "queue" "routing_key" .queue "arguments" dict -}}
{{- $bindings = append $bindings (merge (dict "source" "millrace" "destination" .queue) $binding) -}}
{{- /* "#.": a task that was retried comes back from Celery's delayed queues with 28 digits in front of its key. */ -}}
{{- $deadBinding := dict "source" "millrace.dead" "destination" $dead "routing_key" (printf "#.%s" .queue) -}}
{{- $bindings = append $bindings (merge $deadBinding $binding) -}}
{{- end -}}
{{- $topology := dict "exchanges" $exchanges "queues" $queues "bindings" $bindings "policies" (include "millrace.rabbitmqPolicies" . | fromJsonArray) -}}
{{- merge (include "millrace.rabbitmqAccess" . | fromJson) $topology | toPrettyJson -}}
{{- end }}
