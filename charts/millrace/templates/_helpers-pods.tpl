{{/*
What all pods have in common: the restricted security profile, no token, no service links, and where users may place them.

  {{ include "millrace.podMetadata" (dict "root" $ "component" "redis" "settings" .Values.redis "checksums" (dict ...)) }}
  {{ include "millrace.podSecurity" (dict "root" $ "uid" 999) }}     fields of the pod's spec; "token" true gives it one
  {{ include "millrace.placement" .Values.redis }}                   fields of the pod's spec
  {{ include "millrace.containerSecurity" . }}                       fields of a container
*/}}

{{- define "millrace.podMetadata" -}}
labels:
  {{- include "millrace.selectorLabels" . | nindent 2 }}
  app.kubernetes.io/part-of: millrace
  {{- with .extraLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .settings.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge dict (.settings.podAnnotations | default dict) (.checksums | default dict) }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "millrace.podSecurity" -}}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .uid }}
  fsGroup: {{ .uid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "millrace.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "millrace.placement" -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" }}
{{- with get $ $key }}
{{ $key }}: {{- if kindIs "string" . }} {{ . }}{{ else }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Nodes' type and port of a Service, from {type, nodePort}: (dict "service" ... "port" 5555 "name" "http"). */}}
{{- define "millrace.servicePort" -}}
type: {{ .service.type }}
ports:
  - name: {{ .name }}
    port: {{ .port }}
    targetPort: {{ .name }}
    {{- if and .service.nodePort (ne .service.type "ClusterIP") }}
    nodePort: {{ .service.nodePort }}
    {{- end }}
{{- end }}
