{{/*
Streams as they are after all defaults: {{ include "millrace.streams" $ | fromJsonArray }}. A stream's own settings of the pod
(image, replicas, resources, ...) stand beside what its bridge reads; "bridge" holds the latter alone.
*/}}

{{- define "millrace.streams" -}}
{{- $root := . -}}
{{- $streams := list -}}
{{- range .Values.streams -}}
{{- $stream := mergeOverwrite (deepCopy $root.Values.ingest) (deepCopy .) -}}
{{- $bridge := omit (deepCopy .) "image" "replicas" "resources" "podAnnotations" "podLabels" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "podDisruptionBudget" "extraEnv" -}}
{{- $_ := set $bridge "group" (.group | default (printf "millrace-%s" .name)) -}}
{{- $_ := set $stream "bridge" $bridge -}}
{{- $streams = append $streams $stream -}}
{{- end -}}
{{- $streams | toJson -}}
{{- end }}
