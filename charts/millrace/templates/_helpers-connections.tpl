{{/*
How a container learns where RabbitMQ and Redis are. Passwords come from Secrets; Kubernetes puts them into the URLs.

  {{ include "millrace.brokerEnv" (dict "root" $ "user" "worker") }}   MILLRACE_BROKER_URL for worker, operator or flower
  {{ include "millrace.redisEnv" $ }}                                  MILLRACE_REDIS_URL
  {{ include "millrace.commonEnv" $ }}                                 what every process of the worker image reads
*/}}

{{- define "millrace.vhost" -}}millrace{{- end }}

{{- define "millrace.brokerEnv" -}}
{{- if .root.Values.rabbitmq.enabled }}
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
