{{/*
Peers and rules that several NetworkPolicies share.

  {{ include "millrace.peers" (dict "root" $ "components" (list "worker" "flower")) }}  a `from` or `to` list of our pods
  {{ include "millrace.metricsPeers" (dict "root" $ "components" (list "prometheus")) }}  the same, and who else reads metrics
  {{ include "millrace.pagePeers" $ }}                                                  who may open a page for people
  {{ include "millrace.dnsEgress" $ }}                                                  an egress rule
  {{ include "millrace.brokerEgress" (dict "root" $ "ports" (list 5672)) }}             egress rules to RabbitMQ
  {{ include "millrace.redisEgress" $ }}                                                egress rules to Redis
  {{ include "millrace.cacheEgress" $ }}                                                egress rules to the cache, or nothing
  {{ include "millrace.kafkaEgress" $ }}                                                egress rules to Kafka, or nothing
  {{ include "millrace.objectStoreEgress" $ }}                                          egress rules to the object store, or nothing
  {{ include "millrace.webEgress" (list 443) }}                                         egress rules to any web server, or nothing
*/}}

{{- define "millrace.peers" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/instance: {{ .root.Release.Name }}
      app.kubernetes.io/part-of: millrace
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: {{ .components | toJson }}}
{{- end }}

{{- define "millrace.metricsPeers" -}}
{{ include "millrace.peers" . }}
{{- with .root.Values.networkPolicy.metricsFrom }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "millrace.pagePeers" -}}
{{ .Values.networkPolicy.pagesFrom | default (list (dict "podSelector" dict)) | toYaml }}
{{- end }}

{{- define "millrace.dnsEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}

{{- define "millrace.brokerEgress" -}}
{{- if ne .root.Values.broker.kind "rabbitmq" }}
{{- if .root.Values.broker.existingSecret }}
- ports:
    {{- range .root.Values.broker.ports }}
    - port: {{ . }}
    {{- end }}
{{- else }}
{{- include "millrace.redisEgress" .root }}
{{- end }}
{{- else if .root.Values.rabbitmq.enabled }}
- to: {{- include "millrace.peers" (dict "root" .root "components" (list "rabbitmq")) | nindent 4 }}
  ports:
    {{- range .ports }}
    - port: {{ . }}
    {{- end }}
{{- else }}
- ports:
    {{- range .root.Values.externalBroker.ports }}
    - port: {{ . }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "millrace.redisEgress" -}}
{{- if .Values.redis.enabled }}
- to: {{- include "millrace.peers" (dict "root" . "components" (list "redis")) | nindent 4 }}
  ports: [{port: 6379}]
{{- else }}
- ports:
    {{- range .Values.externalRedis.ports }}
    - port: {{ . }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "millrace.resultBackendEgress" -}}
{{- with .Values.resultBackend.ports }}
- ports:
    {{- range . }}
    - port: {{ . }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "millrace.cacheEgress" -}}
{{- if include "millrace.ownCache" . }}
- to: {{- include "millrace.peers" (dict "root" . "components" (list "cache")) | nindent 4 }}
  ports: [{port: 6379}]
{{- else if include "millrace.hasCache" . }}
- ports:
    {{- range .Values.externalCache.ports }}
    - port: {{ . }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "millrace.kafkaEgress" -}}
{{- if .Values.kafka.enabled }}
- to: {{- include "millrace.peers" (dict "root" . "components" (list "kafka")) | nindent 4 }}
  ports: [{port: 9092}]
{{- else if .Values.externalKafka.bootstrapServers }}
- ports:
    {{- range .Values.externalKafka.ports }}
    - port: {{ . }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "millrace.objectStoreEgress" -}}
{{- if include "millrace.hasObjectStore" . }}
- ports:
    {{- range .Values.objectStore.ports }}
    - port: {{ . }}
    {{- end }}
{{- end }}
{{- end }}

{{/* Users choose the addresses, so the one that hands out the node's own rights is not among them. */}}
{{- define "millrace.webEgress" -}}
{{- with . }}
- to:
    - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
    - ipBlock: {cidr: "::/0", except: ["fe80::/10", "fd00:ec2::254/128"]}
  ports:
    {{- range . }}
    - port: {{ . }}
    {{- end }}
{{- end }}
{{- end }}
