{{/*
Annotations of what exists only while `helm test` runs, by weight: {{ include "millrace.testHook" "-1" }}. After a failure it
stays for inspection, until the next run. The pod's output is printed by Helm itself, because the pod is gone afterwards.
*/}}

{{- define "millrace.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
{{- end }}
