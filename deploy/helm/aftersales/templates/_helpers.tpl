{{- define "aftersales.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "aftersales.labels" -}}
app.kubernetes.io/part-of: aftersales
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* What pods are found by; never changes. Given: root, component. */ -}}
{{- define "aftersales.selector" -}}
app.kubernetes.io/name: aftersales
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "aftersales.image" -}}
{{ required "image.repository is required" .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "aftersales.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "aftersales.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* What every pod of ours says. Kubernetes' service links would set variables such as
AFTERSALES_CASES_API_PORT, which the start refuses as unknown settings. */ -}}
{{- define "aftersales.pod" -}}
enableServiceLinks: false
automountServiceAccountToken: {{ not (empty .Values.serviceAccount.name) }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Settings as environment, sorted; secrets as paths of files. Given: root, service (its name). They stand in the
pod itself and not in a ConfigMap: so a change rolls the pods, and hooks have them before anything else exists. */ -}}
{{- define "aftersales.env" -}}
{{- $values := .root.Values }}
{{- $service := index $values.services .service }}
{{- $given := merge (dict) $service.settings $values.settings }}
{{- $_ := required "settings.AFTERSALES_KAFKA_SERVERS is required" (get $given "AFTERSALES_KAFKA_SERVERS") }}
{{- $_ := set $given "AFTERSALES_DATABASE_URL_FILE" "/run/secrets/aftersales/database-url" }}
{{- $_ := set $given "AFTERSALES_TOKEN_SECRET_FILE" "/run/secrets/aftersales/token-secret" }}
{{- if $values.secrets.kafkaPassword.name }}
{{- $_ := set $given "AFTERSALES_KAFKA_PASSWORD_FILE" "/run/secrets/aftersales/kafka-password" }}
{{- end }}
{{- if $values.secrets.kafkaCa.name }}
{{- $_ := set $given "AFTERSALES_KAFKA_CA" "/run/secrets/aftersales/kafka-ca" }}
{{- end }}
{{- if $values.policy.name }}
{{- $_ := set $given "AFTERSALES_POLICY_FILE" "/run/secrets/aftersales/policy.yaml" }}
{{- end }}
{{- if (dig "gatewaySecret" "name" "" $service) }}
{{- $_ := set $given "AFTERSALES_GATEWAY_SECRET_FILE" "/run/secrets/aftersales/gateway-secret" }}
{{- end }}
{{- if has .service (list "cases" "finance") }}
{{- if $values.media.url }}
{{- $_ := set $given "AFTERSALES_MEDIA_URL" $values.media.url }}
{{- else if $values.media.claim }}
{{- $_ := set $given "AFTERSALES_MEDIA_URL" "/var/lib/aftersales-media" }}
{{- else }}
{{- fail "media.url or media.claim is required" }}
{{- end }}
{{- end }}
{{- range $name := keys $given | sortAlpha }}
- {name: {{ $name }}, value: {{ get $given $name | toString | quote }}}
{{- end }}
{{- end }}

{{- /* The same things as volumes. Given: root, service. */ -}}
{{- define "aftersales.volumes" -}}
{{- $values := .root.Values }}
{{- $service := index $values.services .service }}
- name: data
  emptyDir: {sizeLimit: 8Gi}
- name: tmp
  emptyDir: {sizeLimit: 512Mi}
- name: given
  projected:
    defaultMode: 0440
    sources:
      - secret: {name: {{ $service.databaseUrl.name }}, items: [{key: {{ $service.databaseUrl.key }}, path: database-url}]}
      - secret: {name: {{ $values.secrets.tokenSecret.name }}, items: [{key: {{ $values.secrets.tokenSecret.key }}, path: token-secret}]}
      {{- with $values.secrets.kafkaPassword }}
      {{- if .name }}
      - secret: {name: {{ .name }}, items: [{key: {{ .key }}, path: kafka-password}]}
      {{- end }}
      {{- end }}
      {{- with $values.secrets.kafkaCa }}
      {{- if .name }}
      - secret: {name: {{ .name }}, items: [{key: {{ .key }}, path: kafka-ca}]}
      {{- end }}
      {{- end }}
      {{- with $service.gatewaySecret }}
      {{- if .name }}
      - secret: {name: {{ .name }}, items: [{key: {{ .key }}, path: gateway-secret}]}
      {{- end }}
      {{- end }}
      {{- with $values.policy }}
      {{- if .name }}
      - configMap: {name: {{ .name }}, items: [{key: {{ .key }}, path: policy.yaml}]}
      {{- end }}
      {{- end }}
{{- if and (has .service (list "cases" "finance")) (not $values.media.url) }}
- name: media
  persistentVolumeClaim: {claimName: {{ $values.media.claim }}}
{{- end }}
{{- end }}

{{- define "aftersales.mounts" -}}
- {name: data, mountPath: /var/lib/aftersales}
- {name: tmp, mountPath: /tmp}
- {name: given, mountPath: /run/secrets/aftersales, readOnly: true}
{{- if and (has .service (list "cases" "finance")) (not .root.Values.media.url) }}
- {name: media, mountPath: /var/lib/aftersales-media}
{{- end }}
{{- end }}

{{- /* The console's: it works on no database and no broker, so it is told of none. Its own settings come before the
shared ones. Given: root. */ -}}
{{- define "aftersales.consoleEnv" -}}
{{- $values := .root.Values }}
{{- $given := dict }}
{{- range $name, $value := $values.settings }}
{{- if not (hasPrefix "AFTERSALES_KAFKA_" $name) }}
{{- $_ := set $given $name $value }}
{{- end }}
{{- end }}
{{- $given = merge (dict) $values.console.settings $given }}
{{- $_ := set $given "AFTERSALES_API_URL" (printf "http://%s-{service}-api:8080" (include "aftersales.fullname" .root)) }}
{{- $_ := set $given "AFTERSALES_TOKEN_SECRET_FILE" "/run/secrets/aftersales/token-secret" }}
{{- if $values.console.oidcClientSecret.name }}
{{- $_ := set $given "AFTERSALES_OIDC_CLIENT_SECRET_FILE" "/run/secrets/aftersales/oidc-client-secret" }}
{{- end }}
{{- if $values.policy.name }}
{{- $_ := set $given "AFTERSALES_POLICY_FILE" "/run/secrets/aftersales/policy.yaml" }}
{{- end }}
{{- if and (gt (int $values.console.replicas) 1) (not (get $given "AFTERSALES_OIDC_ISSUER")) }}
{{- fail "console.replicas above 1 needs AFTERSALES_OIDC_ISSUER in console.settings: each pod would take a one-time link once" }}
{{- end }}
{{- range $name := keys $given | sortAlpha }}
- {name: {{ $name }}, value: {{ get $given $name | toString | quote }}}
{{- end }}
{{- end }}

{{- /* One container of ours, up to its probes. Given: root, service, args, resources. */ -}}
{{- define "aftersales.container" -}}
image: {{ include "aftersales.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .args }}
env: {{- include "aftersales.env" . | nindent 2 }}
{{- if and (has .service (list "cases" "finance")) .root.Values.media.credentials }}
envFrom:
  - secretRef: {name: {{ .root.Values.media.credentials }}}
{{- end }}
securityContext: {{- include "aftersales.containerSecurity" .root | nindent 2 }}
resources: {{- toYaml .resources | nindent 2 }}
volumeMounts: {{- include "aftersales.mounts" . | nindent 2 }}
{{- end }}

{{- /* Where the front finds the services: a Service's address stays, so it is looked up once. */ -}}
{{- define "aftersales.upstreams" -}}
{{- range $service := list "cases" "refunds" "liability" "finance" }}
upstream {{ $service }} {
    server {{ include "aftersales.fullname" $ }}-{{ $service }}-api:8080 max_fails=0;
    keepalive 32;
}
{{- end }}
upstream console {
    server {{ include "aftersales.fullname" . }}-console:8080 max_fails=0;
    keepalive 32;
}
{{- end }}
