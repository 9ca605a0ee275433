{{/*
The Triton container of a pool, the same beside a worker and as a Deployment of its own.

  {{ include "millrace.tritonContainer" (dict "root" $ "pool" $pool "sidecar" true) }}   the container, as a list item
  {{ include "millrace.tritonVolumes" (dict "root" $ "pool" $pool "sidecar" true) }}     its volumes, as list items
  {{ include "millrace.tritonUrl" (dict "root" $ "pool" $pool) }}                        where workers reach it; "" for none
  {{ include "millrace.tritonMetrics" (dict "root" $ "pool" $pool) }}                    where its metrics are; "" for unknown
*/}}

{{- define "millrace.tritonUrl" -}}
{{- if eq .pool.triton.mode "sidecar" -}}
127.0.0.1:8001
{{- else if eq .pool.triton.mode "service" -}}
dns:///{{ .root.Release.Name }}-triton-{{ .pool.name }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}:8001
{{- else if eq .pool.triton.mode "external" -}}
{{ .pool.triton.url }}
{{- end -}}
{{- end }}

{{- define "millrace.tritonMetrics" -}}
{{- if eq .pool.triton.mode "sidecar" -}}
metricsPort: 8002
{{- else if eq .pool.triton.mode "service" -}}
metricsURL: http://{{ .root.Release.Name }}-triton-{{ .pool.name }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}:8002/metrics
{{- else if .pool.triton.metricsUrl -}}
metricsURL: {{ .pool.triton.metricsUrl | quote }}
{{- end -}}
{{- end }}

{{- define "millrace.tritonContainer" -}}
{{- $triton := .pool.triton -}}
{{- $repository := $triton.modelRepository -}}
- name: triton
  image: {{ include "millrace.image" (dict "root" .root "image" $triton.image) }}
  imagePullPolicy: {{ $triton.image.pullPolicy }}
  # Triton handles SIGTERM only when its models are loaded, and process 1 hears no signal that it has no handler for: a pod
  # that goes while they load would hold its GPU for its whole grace. As a child of a shell, which its image has, it ends at
  # once then; later it answers what it has begun. The second wait is for its end, as the signal ends the first.
  command:
    - sh
    - -c
    - |
      tritonserver "$@" & triton=$!
      trap 'kill -TERM "$triton"' TERM
      wait "$triton"; status=$?
      while kill -0 "$triton" 2>/dev/null; do wait "$triton"; status=$?; done
      exit "$status"
    - tritonserver
  args:
    - --model-repository={{ $repository.uri | default "/models" }}
    {{- range $triton.args }}
    - {{ . | quote }}
    {{- end }}
  {{- if .sidecar }}
  # A native sidecar: it is ready before the worker takes its first task, and ends after the worker's last one.
  restartPolicy: Always
  {{- end }}
  {{- with $triton.extraEnv }}
  env: {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: triton-http, containerPort: 8000}
    - {name: triton-grpc, containerPort: 8001}
    - {name: triton-metrics, containerPort: 8002}
  startupProbe:
    httpGet: {path: /v2/health/ready, port: triton-http}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: {{ $triton.startupSeconds }}
  readinessProbe:
    httpGet: {path: /v2/health/ready, port: triton-http}
    periodSeconds: 10
    timeoutSeconds: 5
  livenessProbe:
    httpGet: {path: /v2/health/live, port: triton-http}
    periodSeconds: 20
    timeoutSeconds: 10
    failureThreshold: 6
  resources: {{- include "millrace.gpuResources" (dict "resources" $triton.resources "gpu" .pool.gpu) | nindent 4 }}
  {{- include "millrace.containerSecurity" . | nindent 2 }}
  volumeMounts:
    - {name: triton-tmp, mountPath: /tmp}
    - {name: triton-shm, mountPath: /dev/shm}
    {{- with $repository.persistentVolumeClaim }}
    - name: {{ include "millrace.modelVolume" $ }}
      mountPath: /models
      readOnly: true
      {{- with .subPath }}
      subPath: {{ . | quote }}
      {{- end }}
    {{- end }}
    {{- if $repository.configMap }}
    - {name: models, mountPath: /models, readOnly: true}
    {{- end }}
{{- end }}

{{/*
The volume with the models. A pod that names one claim in two volumes never starts, so a sidecar whose models lie on a data
claim shares the worker's volume.
*/}}
{{- define "millrace.modelVolume" -}}
{{- $claim := (.pool.triton.modelRepository.persistentVolumeClaim | default dict).claimName -}}
{{- if and .sidecar (has $claim (include "millrace.dataClaimNames" .root | fromJsonArray)) -}}
{{ include "millrace.claimVolume" $claim }}
{{- else -}}
models
{{- end -}}
{{- end }}

{{- define "millrace.dataClaimNames" -}}
{{- $names := list -}}
{{- range .Values.dataClaims }}{{ $names = append $names .claimName }}{{ end -}}
{{- $names | toJson -}}
{{- end }}

{{- define "millrace.claimVolume" -}}
claim-{{ . | replace "." "-" }}
{{- end }}

{{- define "millrace.tritonVolumes" -}}
- name: triton-tmp
  emptyDir: {}
- name: triton-shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ .pool.triton.sharedMemory }}
{{- with .pool.triton.modelRepository.persistentVolumeClaim }}
{{- if eq (include "millrace.modelVolume" $) "models" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ .claimName }}
{{- end }}
{{- end }}
{{- with .pool.triton.modelRepository.configMap }}
- name: models
  configMap:
    name: {{ .name }}
    {{- with .items }}
    items: {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- end }}

{{/* Resources with the pool's GPUs added, which Kubernetes wants as a limit. */}}
{{- define "millrace.gpuResources" -}}
{{- $resources := deepCopy .resources -}}
{{- if gt (int .gpu.count) 0 -}}
{{- $_ := set $resources "limits" (merge (dict .gpu.resourceName (int .gpu.count)) ($resources.limits | default dict)) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}
