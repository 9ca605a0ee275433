{{/*
Flower's options, which it reads from FLOWER_<OPTION>. Whatever goes into them from a Secret has a name of its own, because
Flower refuses unknown options.
*/}}

{{- define "millrace.flowerEnv" -}}
- name: FLOWER_MAX_TASKS
  value: {{ .Values.flower.maxTasks | quote }}
- name: FLOWER_PURGE_OFFLINE_WORKERS
  value: {{ .Values.flower.purgeOfflineWorkersSeconds | quote }}
# Logins outlive a restart.
- name: FLOWER_COOKIE_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ include "millrace.flowerSecret" . }}
      key: cookie-secret
{{- if .Values.flower.auth.enabled }}
- name: PAGE_USER
  valueFrom:
    secretKeyRef:
      name: {{ include "millrace.flowerSecret" . }}
      key: user
- name: PAGE_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "millrace.flowerSecret" . }}
      key: password
- name: FLOWER_BASIC_AUTH
  value: $(PAGE_USER):$(PAGE_PASSWORD)
{{- end }}
{{- if eq .Values.broker.kind "rabbitmq" }}
# Queue lengths on its page come from the management API.
- name: FLOWER_BROKER_API
{{- if .Values.rabbitmq.enabled }}
  value: http://flower:$(RABBITMQ_PASSWORD)@{{ .Release.Name }}-rabbitmq:15672/api/
{{- else }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.externalBroker.existingSecret }}
      key: flower-api-url
{{- end }}
{{- end }}
{{- end }}
