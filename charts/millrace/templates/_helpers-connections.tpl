{{/*
How a container learns where RabbitMQ, Redis, Kafka and the object store are. Passwords come from Secrets; Kubernetes puts them into the URLs.

  {{ include "millrace.brokerEnv" (dict "root" $ "user" "worker") }}   MILLRACE_BROKER_URL for a user of _definitions.tpl
  {{ include "millrace.redisEnv" $ }}                                  MILLRACE_REDIS_URL
  {{ include "millrace.resultBackendEnv" $ }}                          where results of a team's own tasks go, if not to Redis
  {{ include "millrace.cacheEnv" $ }}                                  MILLRACE_CACHE_URL, or nothing
  {{ include "millrace.kafkaEnv" $ }}                                  MILLRACE_KAFKA_*, or nothing
  {{ include "millrace.kafkaVolumes" $ }}                              the authority of Kafka as list items, or nothing
  {{ include "millrace.kafkaMounts" $ }}                               its mount
  {{ include "millrace.objectStoreEnv" $ }}                            AWS_*, or nothing
  {{ include "millrace.commonEnv" $ }}                                 what every process of the worker image reads
*/}}

{{- define "millrace.vhost" -}}millrace{{- end }}

{{- define "millrace.brokerEnv" -}}
{{- $broker := .root.Values.broker }}
{{- if ne $broker.kind "rabbitmq" }}
- name: MILLRACE_BROKER_KIND
  value: {{ $broker.kind }}
{{- if and (eq $broker.kind "sqs") $broker.sqsRegion }}
- name: MILLRACE_SQS_REGION
  value: {{ $broker.sqsRegion | quote }}
{{- end }}
{{- with $broker.visibilityTimeoutSeconds }}
- name: MILLRACE_VISIBILITY_TIMEOUT_SECONDS
  value: {{ . | quote }}
{{- end }}
{{- if $broker.existingSecret }}
- name: MILLRACE_BROKER_URL
  valueFrom:
    secretKeyRef:
      name: {{ $broker.existingSecret }}
      key: broker-url
{{- else }}
- name: BROKER_REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "millrace.redisSecret" .root }}
      key: password
# A database of its own beside the ledger's.
- name: MILLRACE_BROKER_URL
  value: redis://:$(BROKER_REDIS_PASSWORD)@{{ .root.Release.Name }}-redis:6379/1
{{- end }}
{{- else if .root.Values.rabbitmq.enabled }}
- name: RABBITMQ_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "millrace.rabbitmqSecret" .root }}
      key: {{ .user }}-password
- name: MILLRACE_BROKER_URL
  value: amqp://{{ .user }}:$(RABBITMQ_PASSWORD)@{{ .root.Release.Name }}-rabbitmq:5672/{{ include "millrace.vhost" . }}
{{- else }}
- name: MILLRACE_BROKER_URL
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.externalBroker.existingSecret }}
      key: {{ .user }}-url
{{- end }}
{{- end }}

{{/* Whether the chart made the password with which the operator reaches the broker. */}}
{{- define "millrace.knowsBroker" -}}
{{- if eq .Values.broker.kind "rabbitmq" -}}
{{- and .Values.rabbitmq.enabled (not .Values.rabbitmq.auth.existingSecret) -}}
{{- else -}}
{{- and (eq .Values.broker.kind "redis") (not .Values.broker.existingSecret) .Values.redis.enabled (not .Values.redis.auth.existingSecret) -}}
{{- end -}}
{{- end }}

{{- define "millrace.resultBackendEnv" -}}
{{- if ne .Values.resultBackend.kind "redis" }}
- name: MILLRACE_RESULT_BACKEND_KIND
  value: {{ .Values.resultBackend.kind }}
{{- end }}
{{- with .Values.resultBackend.existingSecret }}
- name: MILLRACE_RESULT_BACKEND_URL
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: result-backend-url
{{- end }}
{{- end }}

{{- define "millrace.redisEnv" -}}
{{- if .Values.redis.enabled }}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "millrace.redisSecret" . }}
      key: password
- name: MILLRACE_REDIS_URL
  value: redis://:$(REDIS_PASSWORD)@{{ .Release.Name }}-redis:6379/0
{{- else }}
- name: MILLRACE_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.externalRedis.existingSecret }}
      key: redis-url
{{- end }}
{{- end }}

{{- define "millrace.commonEnv" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: MILLRACE_SYSTEM_QUEUE
  value: system
- name: MILLRACE_TASK_TIME_LIMIT_SECONDS
  value: {{ .Values.worker.taskTimeLimitSeconds | quote }}
- name: MILLRACE_TASK_SOFT_TIME_LIMIT_SECONDS
  value: {{ .Values.worker.taskSoftTimeLimitSeconds | quote }}
- name: MILLRACE_LOG_LEVEL
  value: {{ .Values.logging.level | quote }}
- name: MILLRACE_LOG_FORMAT
  value: {{ .Values.logging.format | quote }}
{{- end }}

{{/* The answers' cache is there for the gateway alone; workers fill it. */}}
{{- define "millrace.hasCache" -}}
{{- if and .Values.gateway.enabled (or .Values.cache.enabled .Values.externalCache.existingSecret) }}true{{ end -}}
{{- end }}

{{- define "millrace.ownCache" -}}
{{- if and .Values.gateway.enabled .Values.cache.enabled }}true{{ end -}}
{{- end }}

{{- define "millrace.cacheEnv" -}}
{{- if include "millrace.ownCache" . }}
- name: CACHE_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "millrace.cacheSecret" . }}
      key: password
- name: MILLRACE_CACHE_URL
  value: redis://:$(CACHE_PASSWORD)@{{ .Release.Name }}-cache:6379/0
{{- else if include "millrace.hasCache" . }}
- name: MILLRACE_CACHE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.externalCache.existingSecret }}
      key: redis-url
{{- end }}
{{- end }}

{{- define "millrace.hasKafka" -}}
{{- if or .Values.kafka.enabled .Values.externalKafka.bootstrapServers }}true{{ end -}}
{{- end }}

{{- define "millrace.kafkaEnv" -}}
{{- $external := .Values.externalKafka }}
{{- if .Values.kafka.enabled }}
- name: MILLRACE_KAFKA_BOOTSTRAP_SERVERS
  value: {{ .Release.Name }}-kafka:9092
- name: MILLRACE_KAFKA_SECURITY_PROTOCOL
  value: SASL_PLAINTEXT
- name: MILLRACE_KAFKA_SASL_MECHANISM
  value: PLAIN
- name: MILLRACE_KAFKA_SASL_USERNAME
  value: millrace
- name: MILLRACE_KAFKA_SASL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "millrace.kafkaSecret" . }}
      key: password
{{- else if $external.bootstrapServers }}
- name: MILLRACE_KAFKA_BOOTSTRAP_SERVERS
  value: {{ $external.bootstrapServers | quote }}
- name: MILLRACE_KAFKA_SECURITY_PROTOCOL
  value: {{ $external.securityProtocol }}
{{- if hasPrefix "SASL" $external.securityProtocol }}
- name: MILLRACE_KAFKA_SASL_MECHANISM
  value: {{ $external.saslMechanism }}
{{- range list "username" "password" }}
- name: MILLRACE_KAFKA_SASL_{{ upper . }}
  valueFrom:
    secretKeyRef:
      name: {{ $external.existingSecret }}
      key: sasl-{{ . }}
{{- end }}
{{- end }}
{{- if include "millrace.kafkaHasAuthority" . }}
- name: MILLRACE_KAFKA_CA_FILE
  value: /etc/millrace-kafka/ca.crt
{{- end }}
{{- end }}
{{- end }}

{{- define "millrace.hasObjectStore" -}}
{{- with .Values.objectStore }}{{ if or .endpointUrl .region .existingSecret .serviceAccountAnnotations }}true{{ end }}{{ end -}}
{{- end }}

{{/* The names that boto knows. The address is S3's alone: a queue on SQS and the cloud's own sign-on have others. */}}
{{- define "millrace.objectStoreEnv" -}}
{{- if include "millrace.hasObjectStore" . }}
{{- with .Values.objectStore }}
{{- with .endpointUrl }}
- name: AWS_ENDPOINT_URL_S3
  value: {{ . | quote }}
{{- end }}
{{- /* Tools read one or the other. */}}
{{- range list "AWS_REGION" "AWS_DEFAULT_REGION" }}
- name: {{ . }}
  value: {{ $.Values.objectStore.region | default "us-east-1" | quote }}
{{- end }}
{{- with .existingSecret }}
{{- range $key := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN" }}
- name: {{ $key }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.objectStore.existingSecret }}
      key: {{ $key }}
      {{- if eq $key "AWS_SESSION_TOKEN" }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "millrace.kafkaHasAuthority" -}}
{{- if and (not .Values.kafka.enabled) .Values.externalKafka.bootstrapServers .Values.externalKafka.caSecret }}true{{ end -}}
{{- end }}

{{- define "millrace.kafkaMounts" -}}
{{- if include "millrace.kafkaHasAuthority" . }}
- {name: kafka-authority, mountPath: /etc/millrace-kafka, readOnly: true}
{{- end }}
{{- end }}

{{- define "millrace.kafkaVolumes" -}}
{{- if include "millrace.kafkaHasAuthority" . }}
- name: kafka-authority
  secret:
    secretName: {{ .Values.externalKafka.caSecret }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end }}
