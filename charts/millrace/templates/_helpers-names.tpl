{{/*
Names, labels and images. Objects are "<release>-<component>"; so are the addresses, which the operator's chart relies on.

  {{ include "millrace.labels" (dict "root" $ "component" "redis") }}          labels of an object
  {{ include "millrace.selectorLabels" (dict "root" $ "component" "redis") }}  labels that select its pods
  {{ include "millrace.image" (dict "root" $ "image" .Values.redis.image) }}   registry/repository:tag or @digest
*/}}

{{- define "millrace.selectorLabels" -}}
app.kubernetes.io/name: millrace
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "millrace.labels" -}}
{{ include "millrace.selectorLabels" . }}
app.kubernetes.io/part-of: millrace
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: millrace-{{ .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "millrace.image" -}}
{{- with .image.registry | default .root.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end }}

{{/* The operator's image, for `helm test`, whose script needs the operator's Kubernetes client. */}}
{{- define "millrace.operatorImage" -}}
{{- $image := .Values.operator.image -}}
{{- with $image.registry | default .Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end }}
