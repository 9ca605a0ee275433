{{/*
Who may call the gateway: {{ include "millrace.gatewayAuth" $ }} is what its configuration says, and
{{ include "millrace.gatewayKeys" $ }} its list of keys, which knows their hashes alone.
*/}}

{{- define "millrace.gatewayAuth" -}}
{{- $auth := .Values.gateway.auth -}}
{{- $config := dict "mode" $auth.mode -}}
{{- if eq $auth.mode "oidc" -}}
{{- $oidc := dict -}}
{{- range $key, $value := $auth.oidc }}{{ if $value }}{{ $_ := set $oidc $key $value }}{{ end }}{{ end -}}
{{- $_ := set $config "oidc" $oidc -}}
{{- end -}}
{{- $config | toJson -}}
{{- end }}

{{- define "millrace.gatewayUsesKeys" -}}
{{- if and .Values.gateway.enabled (eq .Values.gateway.auth.mode "apiKeys") }}true{{ end -}}
{{- end }}

{{- define "millrace.gatewayKey" -}}
{{ include "millrace.password" (dict "root" .root "secret" (printf "%s-gateway" .root.Release.Name) "key" (printf "%s-api-key" .name)) }}
{{- end }}

{{- define "millrace.gatewayKeys" -}}
{{- $admin := include "millrace.gatewayKey" (dict "root" . "name" "admin") | sha256sum -}}
{{- $predict := include "millrace.gatewayKey" (dict "root" . "name" "predict") | sha256sum -}}
{{- list
  (dict "name" "admin" "sha256" $admin "scopes" (list "predict" "admin"))
  (dict "name" "predict" "sha256" $predict "scopes" (list "predict"))
  | toJson -}}
{{- end }}
