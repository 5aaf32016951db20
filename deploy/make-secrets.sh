#!/bin/sh
# Draws the secrets of the Compose stack into deploy/secrets/, once: what is there stays.
# 为 Compose 生成密钥,写入 deploy/secrets/;已有的不动。
set -eu
cd "$(dirname "$0")"

draw() { od -An -N "$1" -t x1 /dev/urandom | tr -d ' \n'; }
keep() { # NAME VALUE: readable to the containers' users, in a folder that is closed to everybody else on this machine
    [ -s "secrets/$1" ] || { printf '%s' "$2" >"secrets/$1" && chmod 444 "secrets/$1"; }
}

mkdir -p secrets
chmod 700 secrets
keep postgres_password "$(draw 24)"
keep grafana_password "$(draw 12)"
keep token_secret "$(draw 32)"
for service in cases refunds liability finance; do
    # The application fills in {service} itself.
    keep "database_url_$service" "postgresql://aftersales_{service}:$(draw 24)@postgres/aftersales_{service}"
done
echo "deploy/secrets:" && ls secrets
