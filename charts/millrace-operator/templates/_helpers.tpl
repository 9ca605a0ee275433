{{/*
Names, labels and the image of the operator. Every object is "<release>-operator"; call as {{ include "millrace-operator.name" . }}.
The chart's own name is written out, because .Chart.Name is the alias when another chart contains this one.
*/}}

{{- define "millrace-operator.name" -}}
{{ .Release.Name }}-operator
{{- end }}

{{- define "millrace-operator.selectorLabels" -}}
app.kubernetes.io/name: millrace-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "millrace-operator.labels" -}}
{{ include "millrace-operator.selectorLabels" . }}
app.kubernetes.io/part-of: millrace
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: millrace-operator-{{ .Chart.Version }}
{{- end }}

{{- define "millrace-operator.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "millrace-operator.name" .) }}
{{- end }}

{{- define "millrace-operator.image" -}}
{{- $image := .Values.image -}}
{{- with $image.registry | default .Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end }}

{{/* The namespaces that it serves, comma-separated; empty means all of the cluster. */}}
{{- define "millrace-operator.namespaces" -}}
{{- if eq .Values.rbac.scope "namespaced" -}}
{{ .Values.watchNamespaces | default (list .Release.Namespace) | join "," }}
{{- end -}}
{{- end }}

{{/* What it may do in each namespace that it serves, one reason a rule. */}}
{{- define "millrace-operator.rules" -}}
# What users ask for. A finished PredictionJob is deleted when its ttlSecondsAfterFinished is over.
- apiGroups: [millrace.dev]
  resources: [workerpools, capacitybudgets]
  verbs: [get, list, watch]
- apiGroups: [millrace.dev]
  resources: [predictionjobs]
  verbs: [get, list, watch, delete]
# What it answers; the status alone, never the spec.
- apiGroups: [millrace.dev]
  resources: [workerpools/status, capacitybudgets/status, predictionjobs/status]
  verbs: [get, patch]
# What became of each version of a model: written from the registry in Redis, for `kubectl describe`.
- apiGroups: [millrace.dev]
  resources: [modelversions]
  verbs: [get, list, create, delete]
- apiGroups: [millrace.dev]
  resources: [modelversions/status]
  verbs: [get, patch]
# How many replicas a pool has and how many are ready.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch]
# How large a pool is.
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch, update]
# Which pods of a pool start, run and end; two annotations mark those that take no more tasks and are to go.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
# Decisions and outcomes, told where `kubectl describe` shows them.
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
