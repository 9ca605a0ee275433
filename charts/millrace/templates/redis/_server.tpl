{{/*
What the two Redis servers, the store and the cache, have in common: {{ include "millrace.redisScripts" $ }} are the scripts in
their ConfigMaps, and "millrace.redisServer" (dict "root" ... "name" "redis" "settings" ... "secret" ...) the containers and
the volumes of their pods, but for the volume `data` of the store.
*/}}

{{- define "millrace.redisScripts" -}}
prepare.sh: |
  # Make a configuration of the password, so that it stands in no argument list.
  set -eu
  umask 077
  password=$(cat /run/secrets/redis/password)
  case $password in
    '' | *[!A-Za-z0-9]*)
      echo "the key password of the Secret must be of letters and digits only: it stands in URLs" >&2
      exit 1
      ;;
  esac
  printf 'requirepass %s\n' "$password" >/run/millrace/auth.conf
answers.sh: |
  # Succeed if the server answers as asked: any answer ("alive") or PONG ("ready", which a loading server does not give).
  answer=$(REDISCLI_AUTH=$(cat /run/secrets/redis/password) timeout 5 redis-cli ping 2>&1) || exit 1
  [ "$1" = alive ] || [ "$answer" = PONG ]
{{- end }}

{{- define "millrace.redisServer" -}}
{{- $settings := .settings }}
{{- $image := include "millrace.image" (dict "root" .root "image" $settings.image) }}
initContainers:
  - name: prepare
    image: {{ $image }}
    imagePullPolicy: {{ $settings.image.pullPolicy }}
    command: [sh, /etc/millrace/prepare.sh]
    resources: {{- toYaml $settings.resources | nindent 6 }}
    {{- include "millrace.containerSecurity" . | nindent 4 }}
    volumeMounts:
      - {name: config, mountPath: /etc/millrace}
      - {name: secrets, mountPath: /run/secrets/redis}
      - {name: prepared, mountPath: /run/millrace}
containers:
  - name: {{ .name }}
    image: {{ $image }}
    imagePullPolicy: {{ $settings.image.pullPolicy }}
    command: [redis-server, /etc/millrace/redis.conf]
    {{- with $settings.extraEnv }}
    env: {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
      - {name: redis, containerPort: 6379}
    startupProbe:
      exec:
        command: [sh, /etc/millrace/answers.sh, ready]
      periodSeconds: 1
      timeoutSeconds: 6
      failureThreshold: 600
    readinessProbe:
      exec:
        command: [sh, /etc/millrace/answers.sh, ready]
      periodSeconds: 10
      timeoutSeconds: 6
    livenessProbe:
      exec:
        command: [sh, /etc/millrace/answers.sh, alive]
      periodSeconds: 30
      timeoutSeconds: 6
      failureThreshold: 4
    resources: {{- toYaml $settings.resources | nindent 6 }}
    {{- include "millrace.containerSecurity" . | nindent 4 }}
    volumeMounts:
      - {name: config, mountPath: /etc/millrace}
      - {name: secrets, mountPath: /run/secrets/redis}
      - {name: prepared, mountPath: /run/millrace}
      - {name: data, mountPath: /data}
volumes:
  - name: config
    configMap:
      name: {{ .root.Release.Name }}-{{ .name }}
  - name: secrets
    secret:
      secretName: {{ .secret }}
      items: [{key: password, path: password}]
  - name: prepared
    emptyDir:
      medium: Memory
      sizeLimit: 1Mi
{{- end }}
