{{/*
Alerts and dashboards: plain files that promtool and Grafana read as they are, so nothing in them is a template of Helm's.

  {{ include "millrace.alertGroups" $ }}     the groups of files/rules that apply, as a YAML list
*/}}

{{- define "millrace.alertGroups" -}}
{{- $files := list "files/rules/autoscaler.yaml" "files/rules/queues.yaml" "files/rules/loop.yaml" -}}
{{- if .Values.beat.enabled }}{{ $files = append $files "files/rules/beat.yaml" }}{{ end -}}
{{- $groups := list -}}
{{- range $files -}}
{{- $text := $.Files.Get . | replace "@runbooks@" $.Values.prometheusRule.runbookBaseUrl -}}
{{- $groups = concat $groups (fromYaml $text).groups -}}
{{- end -}}
{{- toYaml $groups -}}
{{- end }}
