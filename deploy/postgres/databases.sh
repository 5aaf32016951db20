#!/bin/sh
# Runs once, when the server's data folder is empty: a database for each service and a user who owns that one and cannot
# even connect to the others. Passwords come from the very URLs that the services connect with.
set -eu

for service in cases refunds liability finance; do
    url=$(cat "${SECRETS:-/run/secrets}/database_url_$service")
    password=${url#*://*:}
    password=${password%%@*}
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
        --set "name=aftersales_$service" --set "password=$password" <<'SQL'
CREATE ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 120 PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --command 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'
