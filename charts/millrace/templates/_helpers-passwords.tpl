{{/*
Passwords that are generated once: {{ include "millrace.password" (dict "root" $ "secret" "r-redis" "key" "password") }} is
the value that the Secret in the cluster has, or a new one. A render remembers what it generated, so that all templates see
the same. Letters and digits only: they stand in URLs and in JSON.
*/}}

{{- define "millrace.password" -}}
{{- if not (hasKey .root.Values "generatedPasswords") }}{{ $_ := set .root.Values "generatedPasswords" dict }}{{ end -}}
{{- $known := get .root.Values "generatedPasswords" -}}
{{- $id := printf "%s/%s" .secret .key -}}
{{- if not (hasKey $known $id) -}}
{{- $data := (lookup "v1" "Secret" .root.Release.Namespace .secret).data | default dict -}}
{{- $_ := set $known $id (get $data .key | b64dec | default (randAlphaNum 24)) -}}
{{- end -}}
{{- get $known $id -}}
{{- end }}

{{- define "millrace.rabbitmqSecret" -}}
{{ .Values.rabbitmq.auth.existingSecret | default (printf "%s-rabbitmq" .Release.Name) }}
{{- end }}

{{- define "millrace.redisSecret" -}}
{{ .Values.redis.auth.existingSecret | default (printf "%s-redis" .Release.Name) }}
{{- end }}

{{- define "millrace.cacheSecret" -}}
{{ .Values.cache.auth.existingSecret | default (printf "%s-cache" .Release.Name) }}
{{- end }}

{{- define "millrace.kafkaSecret" -}}
{{ .Values.kafka.auth.existingSecret | default (printf "%s-kafka" .Release.Name) }}
{{- end }}

{{- define "millrace.gatewaySecret" -}}
{{ .Values.gateway.auth.existingSecret | default (printf "%s-gateway" .Release.Name) }}
{{- end }}

{{- define "millrace.flowerSecret" -}}
{{ .Values.flower.auth.existingSecret | default (printf "%s-flower" .Release.Name) }}
{{- end }}

{{/* Changes when a generated password does, so that the pods that use it start anew. */}}
{{- define "millrace.passwordChecksum" -}}
{{- $parts := list -}}
{{- if and .Values.rabbitmq.enabled (not .Values.rabbitmq.auth.existingSecret) -}}
{{- range include "millrace.rabbitmqUsers" . | fromJsonArray -}}
{{- $parts = append $parts (include "millrace.password" (dict "root" $ "secret" (include "millrace.rabbitmqSecret" $) "key" (printf "%s-password" .))) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.redis.enabled (not .Values.redis.auth.existingSecret) -}}
{{- $parts = append $parts (include "millrace.password" (dict "root" . "secret" (include "millrace.redisSecret" .) "key" "password")) -}}
{{- end -}}
{{- if and (include "millrace.ownCache" .) (not .Values.cache.auth.existingSecret) -}}
{{- $parts = append $parts (include "millrace.password" (dict "root" . "secret" (include "millrace.cacheSecret" .) "key" "password")) -}}
{{- end -}}
{{- if and .Values.kafka.enabled (not .Values.kafka.auth.existingSecret) -}}
{{- $parts = append $parts (include "millrace.password" (dict "root" . "secret" (include "millrace.kafkaSecret" .) "key" "password")) -}}
{{- end -}}
{{- join "/" $parts | sha256sum -}}
{{- end }}
