{{/*
Probes of Celery processes: they look at files that the process touches, in 3 ms and without asking the broker, whose outage a
restart could not mend. `celery inspect ping` costs 0.3 s of CPU, fails with the broker and answers for wedged workers.
*/}}

{{- define "millrace.workerProbes" -}}
# Up to ten minutes for a broker that is away while the worker starts; then one restart, which harms nothing.
startupProbe:
  exec:
    command: [test, -f, /tmp/millrace/ready]
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 600
readinessProbe:
  exec:
    command: [test, -f, /tmp/millrace/ready]
  periodSeconds: 10
  timeoutSeconds: 5
livenessProbe: {{- include "millrace.freshFileProbe" "/tmp/millrace/alive" | nindent 2 }}
  # A wedged process has no task to finish: it need not keep the long grace of the pod.
  terminationGracePeriodSeconds: 30
{{- end }}

{{- define "millrace.freshFileProbe" -}}
exec:
  command: [sh, -c, 'test -n "$(find {{ . }} -mmin -1)"']
periodSeconds: 20
timeoutSeconds: 10
failureThreshold: 3
{{- end }}
