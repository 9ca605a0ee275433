{{/*
Worker pools as they are after all defaults.

  {{ include "millrace.pools" $ | fromJsonArray }}                        every pool, `system` first, all keys present
  {{ include "millrace.pipelines" $ | fromJsonArray }}                    every pipeline, as its workers read it
  {{ include "millrace.replicas" (dict "root" $ "name" ... "min" 0) }}    the field `replicas` of a pool's Deployment
*/}}

{{- define "millrace.pools" -}}
{{- $root := . -}}
{{- $pools := list -}}
{{- $system := merge (dict "name" "system" "queue" "system" "triton" (dict "mode" "none")) .Values.systemPool -}}
{{- range prepend (.Values.workerPools | default list) $system -}}
{{- $pool := mergeOverwrite (deepCopy $root.Values.workerPoolDefaults) (deepCopy .) -}}
{{- $_ := set $pool "queue" ($pool.queue | default $pool.name) -}}
{{- $_ := set $pool "image" (mergeOverwrite (deepCopy $root.Values.worker.image) $pool.image) -}}
{{- $_ := set $pool.triton "image" (mergeOverwrite (deepCopy $root.Values.triton.image) $pool.triton.image) -}}
{{- /* A repository of the pool's own replaces the default one instead of joining it. */ -}}
{{- with (.triton | default dict).modelRepository }}{{ $_ := set $pool.triton "modelRepository" . }}{{ end -}}
{{- $_ := set $pool "grace" ($pool.terminationGracePeriodSeconds | default (add $root.Values.worker.taskTimeLimitSeconds 60)) -}}
{{- $_ := set $pool "given" ($pool.budgetRef | default dict) -}}
{{- $_ := set $pool "budgetRef" (include "millrace.budgetRef" (dict "root" $root "pool" $pool) | fromJson) -}}
{{- $pools = append $pools $pool -}}
{{- end -}}
{{- $pools | toJson -}}
{{- end }}

{{/*
What a pool draws on, with the units that a replica takes: its GPUs, or one where replicas are counted. A budget that this
chart does not make is taken to count GPUs where the pool has some. Without a budget it is empty.
*/}}
{{- define "millrace.budgetRef" -}}
{{- $reference := .pool.budgetRef | default dict -}}
{{- $unit := "" -}}
{{- range .root.Values.capacityBudgets }}{{ if eq .name $reference.name }}{{ $unit = .unit | default "Replica" }}{{ end }}{{ end -}}
{{- $units := ternary 1 (max 1 (int .pool.gpu.count)) (eq $unit "Replica") -}}
{{- ternary (merge (dict "unit" $unit) $reference (dict "unitsPerReplica" $units)) dict (not (empty $reference.name)) | toJson -}}
{{- end }}

{{/*
The operator owns `replicas`, so an upgrade must not set it back. At first install it is the pool's minimum. Later it is left
out if server-side apply knows another owner, else it is what the cluster has. (With client-side apply, and as long as Helm
is the only owner, a field that is left out would be reset to 1.)
*/}}
{{- define "millrace.replicas" -}}
{{- $live := lookup "apps/v1" "Deployment" .root.Release.Namespace .name -}}
{{- if not $live }}
replicas: {{ .min }}
{{- else }}
{{- $applied := false }}
{{- $owned := false }}
{{- range $live.metadata.managedFields | default list }}
{{- $owns := hasKey (dig "fieldsV1" "f:spec" dict .) "f:replicas" }}
{{- if and (eq .manager "helm") (eq .operation "Apply") }}{{ $applied = true }}{{ end }}
{{- if and $owns (ne .manager "helm") }}{{ $owned = true }}{{ end }}
{{- end }}
{{- if not (and $applied $owned) }}
replicas: {{ $live.spec.replicas }}
{{- end }}
{{- end }}
{{- end }}

{{/* Pipelines name a pool, and workers get the DNS name that has an address for each of its Tritons. */}}
{{- define "millrace.pipelines" -}}
{{- $root := . -}}
{{- $modes := dict -}}
{{- range include "millrace.pools" . | fromJsonArray }}{{ $_ := set $modes .name .triton.mode }}{{ end -}}
{{- $pipelines := list -}}
{{- range .Values.pipelines -}}
{{- $pipeline := deepCopy . -}}
{{- with $pipeline.publish.tritons.pool -}}
{{- $service := printf "%s-triton-%s%s" $root.Release.Name . (ternary "-each" "" (eq (get $modes .) "sidecar")) -}}
{{- $dns := printf "%s.%s.svc.%s" $service $root.Release.Namespace $root.Values.clusterDomain -}}
{{- $_ := set $pipeline.publish "tritons" (dict "dns" $dns) -}}
{{- end -}}
{{- $pipelines = append $pipelines $pipeline -}}
{{- end -}}
{{- $pipelines | toJson -}}
{{- end }}
